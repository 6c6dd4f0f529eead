"""Plants one bug at a time in a copy of the tree, and shows that a property notices each.

    .venv/bin/python -m tests.paging.planted_bugs            # all
    .venv/bin/python -m tests.paging.planted_bugs until      # those whose name contains a word

Exits with 1 where a bug lived."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Bug:
    """`old` stands exactly once in `file`; `new` is the bug. `tests`: where it has to be noticed."""

    name: str
    file: str
    old: str
    new: str
    tests: str


BUGS = (
    Bug(
        "a tie at the end of a page is dropped (descending) or doubled (ascending)",
        "app/paging/merge.py",
        "            return self.records[-1].key\n        edges",
        "            return self.records[-1].key[:1]\n        edges",
        "tests/properties/test_merge.py",
    ),
    Bug(
        "a stale position is used unchecked",
        "app/paging/position_reader.py",
        "        self._begin = self._search.begin()\n",
        "        self._begin = self._search.begin()\n"
        "        if self._hint is not None:\n"
        "            self._begin = max(self._log.first, min(self._log.end, self._log.number(self._hint[0])))\n",
        "tests/properties/test_positions.py",
    ),
    Bug(
        "ordinals are counted within a page (Subnoto)",
        "app/providers/subnoto/reader.py",
        "number_ties(self._source, self._query.category, rows, self._keeps)",
        "number_ties(self._source, self._query.category, [pair for pair in rows if pair[1].time"
        " != self._span.position[0] or len(self._span.position) == 1 or pair[0] % 2], self._keeps)",
        "tests/properties/test_readers.py",
    ),
    Bug(
        "ordinals are counted over a whole log, of which a page may hold a part (Taktikal)",
        "app/providers/taktikal/record.py",
        "                twin = read[number][:2]",
        "                twin = (0, 0)",
        "tests/properties/test_readers.py",
    ),
    Bug(
        "until is inclusive (positions)",
        "app/paging/position_reader.py",
        "        self._stop = stop if ascending else -stop + 1",
        "        self._stop = stop + 1 if ascending else -stop + 1",
        "tests/properties/test_positions.py",
    ),
    Bug(
        "until is inclusive (windows)",
        "app/providers/taktikal/reader.py",
        "records_of(self._source, process, window.start, window.end, self._latest)",
        "records_of(self._source, process, window.start, window.end + 1, self._latest)",
        "tests/properties/test_readers.py",
    ),
    Bug(
        "a window skips its edge microsecond",
        "app/paging/windows.py",
        "        return Window(frontier, stop if",
        "        return Window(min(frontier + 1, stop - 1), stop if",
        "tests/properties/test_windows.py",
    ),
    Bug(
        "a window from the middle of a second is never as narrow as one",
        "app/paging/windows.py",
        "max((frontier + width) // SECOND, frontier // SECOND + 1)",
        "-(-(frontier + width) // SECOND)",
        "tests/properties/test_windows.py",
    ),
    Bug(
        "a window leaves its last microsecond to nobody",
        "app/providers/taktikal/reader.py",
        "records_of(self._source, process, window.start, window.end, self._latest)",
        "records_of(self._source, process, window.start, window.end - (window.width > 1), self._latest)",
        "tests/properties/test_readers.py",
    ),
    Bug(
        "the skew is forgotten when rows are handed out",
        "app/paging/position_reader.py",
        "        return min(self._stop, self._held.peak - self._skew)",
        "        return min(self._stop, self._held.peak)",
        "tests/properties/test_positions.py",
    ),
    Bug(
        "pages of two states of a log are joined",
        "app/paging/steadiness.py",
        "        if len(pages) <= 1 or all(map(self._is_sure, pages)):",
        "        if pages:",
        "tests/properties/test_positions.py",
    ),
    Bug(
        "a page that repeats rows of the one behind it is taken for new",
        "app/paging/steadiness.py",
        "    if any(last.same_as(other) for other in behind.get(page.times[-1], ())):",
        "    if not behind:",
        "tests/properties/test_positions.py",
    ),
    Bug(
        "one wrong time proves that nothing wanted lies behind it",
        "app/paging/position_log.py",
        "SUPPORT = 3",
        "SUPPORT = 0",
        "tests/properties/test_moving_logs.py",
    ),
    Bug(
        "a page ends at a stopped stream although another was not read as far",
        "app/paging/merge.py",
        "                waiting = self._waiting()\n                self.has_more = not waiting\n",
        "                waiting = []\n                self.has_more = True\n",
        "tests/properties/test_merge.py",
    ),
    Bug(
        "an event is shown before a slower stream was heard",
        "app/paging/merge.py",
        "        edge = (stream.complete_until,)\n        return not (key < edge if self._ascending else key > edge)",
        "        return False",
        "tests/properties/test_merge.py",
    ),
    Bug(
        "a run of one stream's events passes another's",
        "app/paging/merge.py",
        "while buffer and len(run) < most and (edge is None or is_beyond(edge, buffer[0].key, self._ascending)):",
        "while buffer and len(run) < most:",
        "tests/properties/test_merge.py",
    ),
    Bug(
        "what was shown beyond a falling watermark stays",
        "app/paging/merge.py",
        "        if count := len(list(beyond)):",
        "        if count := 0:",
        "tests/properties/test_merge.py",
    ),
    Bug(
        "a part that was refused moves on with the others",
        "app/paging/merge.py",
        "if stream.failed or stream.refused else boundary",
        "if stream.failed else boundary",
        "tests/paging/test_faults_partial.py",
    ),
    Bug(
        "cursors are opened in any spelling",
        "app/paging/cursor.py",
        '        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:',
        "        if False:",
        "tests/properties/test_cursors.py",
    ),
)


def copy_tree(folder: Path) -> None:
    """Copy what the tests import into `folder`."""
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "vendor", "ui")
    for part in ("app", "sandbox", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)


def failed_test(bug: Bug, folder: Path) -> str | None:
    """Run the bug's tests in `folder`, a copy of the tree, with the bug planted. Return the first failed test; None if
    all pass. Raises ValueError if the code has changed, RuntimeError if the tests do not run."""
    source = (ROOT / bug.file).read_text()
    if source.count(bug.old) != 1:
        raise ValueError(
            f"{bug.file} has changed: the line to plant {bug.name!r} in is there {source.count(bug.old)} times"
        )
    plugins = ("anyio", "_hypothesis_pytestplugin", "pytest_timeout")  # the others take seconds to import
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", *(f"-p{name}" for name in plugins)]
    # The copy comes before the installed package.
    environment = {**os.environ, "PYTHONPATH": str(folder), "FUZZ_PLAIN": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    try:
        (folder / bug.file).write_text(source.replace(bug.old, bug.new))
        result = subprocess.run(
            [*command, bug.tests], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        (folder / bug.file).write_text(source)
    if result.returncode not in (0, 1):
        raise RuntimeError(f"the tests could not be run:\n{result.stdout}{result.stderr}")
    return None if result.returncode == 0 else result.stdout


def main(words: list[str]) -> int:
    chosen = [bug for bug in BUGS if all(word in bug.name for word in words)]
    lived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy_tree(Path(folder))
        for bug in chosen:
            started = time.monotonic()
            missed = failed_test(bug, Path(folder)) is None
            lived += missed
            print(
                f"{'NOT NOTICED' if missed else 'noticed'} in {time.monotonic() - started:.1f} s: {bug.name}",
                flush=True,
            )
    print(f"{len(chosen) - lived} of {len(chosen)} bugs noticed")
    return 1 if lived or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
