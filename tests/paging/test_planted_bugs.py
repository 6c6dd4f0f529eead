"""Bugs of the engine, planted one at a time: a property notices each. `python -m tests.paging.planted_bugs`: all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.paging.planted_bugs import BUGS, ROOT, Bug, copy_tree, failed_test

#: Those whose tests need no server and end at once; a few seconds each.
QUICK = [bug for bug in BUGS if bug.tests == "tests/properties/test_merge.py"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_line_is_there(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text().count(bug.old) == 1
    assert bug.new != bug.old
    assert (ROOT / bug.tests).is_file()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    copy_tree(folder)
    return folder


@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.name)
def test_it_is_noticed(bug: Bug, tree: Path) -> None:
    assert failed_test(bug, tree) is not None
