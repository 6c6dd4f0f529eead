"""That `python -m tests.planted_bugs` still finds the lines to plant its bugs in. It takes minutes itself."""

from __future__ import annotations

import pytest

from tests.planted_bugs import BUGS, ROOT, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_line_is_there(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text().count(bug.old) == 1
    assert bug.new != bug.old
    assert (ROOT / bug.tests).is_file()
