"""`docs/reliability.md` names tests; each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_row_names_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs/reliability.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    shown = 0
    for row in rows:
        named = NAMED.findall(row)
        assert row.count("::test_") == len(named), f"unreadable: {row}"
        for file, test in named:
            tree = ast.parse((ROOT / file).read_text("utf-8"))
            functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert test in functions, f"{file} has no {test}"
            shown += 1
    assert shown >= 30
