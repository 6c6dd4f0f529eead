"""Plant one bug at a time, and run the test that detects it.

    .venv/bin/python -m tests.paging.planted_bugs            # all
    .venv/bin/python -m tests.paging.planted_bugs until      # those whose name contains a word

Exits with 1 if a bug is not detected."""

import importlib
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = ("anyio.pytest_plugin", "_hypothesis_pytestplugin", "pytest_timeout")  #: others take seconds to import
#: Libraries that take long to import: once for all bugs.
LIBRARIES = ("aiohttp", "cryptography.fernet", "fastapi", "hypothesis.stateful", "httpx", "msgspec",
             "prometheus_client", "redis.asyncio", "stamina", "uvicorn")  # fmt: skip


@dataclass(frozen=True)
class Bug:
    """`old` occurs once in `file`; `new` replaces it. `test` detects the bug."""

    name: str
    file: str
    old: str
    new: str
    test: str


BUGS = (
    Bug(
        "a tie at the end of a page is dropped (descending) or doubled (ascending)",
        "app/paging/merge.py",
        "            return self.records[-1].key\n        if edges",
        "            return self.records[-1].key[:1]\n        if edges",
        "tests/properties/test_merge.py::test_pages_add_up_to_the_truth",
    ),
    Bug(
        "a stale position is used unchecked",
        "app/paging/position_reader.py",
        "            self.begin = self._search.begin()\n",
        "            self.begin = self._search.begin()\n"
        "            if self._hint is not None:\n"
        "                self.begin = max(self.log.first, min(self.log.end, self.log.number(self._hint[0])))\n",
        "tests/properties/test_positions.py::test_wrong_hints_change_no_result",
    ),
    Bug(
        "ordinals are counted within a page (Subnoto)",
        "app/providers/subnoto/reader.py",
        "number_ties(self._request.source, self.walk.calls.query.category, taken.rows, self._keeps)",
        "number_ties(self._request.source, self.walk.calls.query.category, [pair for pair in taken.rows if pair[1].time"
        " != self._span.position[0] or len(self._span.position) == 1 or pair[0] % 2], self._keeps)",
        "tests/properties/test_readers.py::test_subnotos_reader_returns_each_record_once_in_order",
    ),
    Bug(
        "ordinals are counted over a whole log, of which a page may hold a part (Taktikal)",
        "app/providers/taktikal/record.py",
        " place * _TIED + len(group) - 1), ordinals[twin]\n",
        " place * _TIED + len(group) - 1), records.index(record)\n",
        "tests/properties/test_readers.py::test_taktikals_reader_returns_each_record_once_in_order",
    ),
    Bug(
        "until is inclusive (positions)",
        "app/paging/position_reader.py",
        "        self._stop = stop if ascending else -stop + 1",
        "        self._stop = stop + 1 if ascending else -stop + 1",
        "tests/properties/test_positions.py::test_every_row_once_and_in_order",
    ),
    Bug(
        "until is inclusive (windows)",
        "app/providers/taktikal/reader.py",
        "records_of(self._source, process, window.start, window.end, self._latest)",
        "records_of(self._source, process, window.start, window.end + 1, self._latest)",
        "tests/properties/test_readers.py::test_taktikals_reader_returns_each_record_once_in_order",
    ),
    Bug(
        "a window skips its edge microsecond",
        "app/paging/windows.py",
        "        return Window(frontier, stop if",
        "        return Window(min(frontier + 1, stop - 1), stop if",
        "tests/properties/test_windows.py::test_windows_join_without_gap_or_overlap",
    ),
    Bug(
        "a window from the middle of a second is never as narrow as one",
        "app/paging/windows.py",
        "max((frontier + width) // SECOND, frontier // SECOND + 1)",
        "-(-(frontier + width) // SECOND)",
        "tests/properties/test_windows.py::test_windows_join_without_gap_or_overlap",
    ),
    Bug(
        "a window excludes its last microsecond",
        "app/providers/taktikal/reader.py",
        "records_of(self._source, process, window.start, window.end, self._latest)",
        "records_of(self._source, process, window.start, window.end - (window.width > 1), self._latest)",
        "tests/properties/test_readers.py::test_taktikals_reader_returns_each_record_once_in_order",
    ),
    Bug(
        "rows are returned without regard to the skew",
        "app/paging/position_reader.py",
        "        return min(self._stop, self._peak - self.skew)",
        "        return min(self._stop, self._peak)",
        "tests/properties/test_positions.py::test_rank_is_the_number_of_rows_before_a_time",
    ),
    Bug(
        "pages of two states of a log are joined",
        "app/paging/steadiness.py",
        "        if len(pages) <= 1 or (",
        "        if pages or (",
        "tests/properties/test_moving_logs.py::test_a_log_that_changes_with_each_call_is_read",
    ),
    Bug(
        "a page that repeats rows of the next page is accepted",
        "app/paging/steadiness.py",
        "    if any(last.same_as(other) for other in behind.get(page.times[-1], ())):",
        "    if not behind:",
        "tests/paging/test_chain.py::test_a_page_that_repeats_rows_of_the_next_page_must_be_confirmed",
    ),
    Bug(
        "one wrong time proves the end of the window",
        "app/paging/position_log.py",
        "SUPPORT = 3",
        "SUPPORT = 0",
        "tests/properties/test_moving_logs.py::test_a_wrong_time_at_the_edge_of_a_page_hides_no_other_record",
    ),
    Bug(
        "a page ends at a stopped stream before another was read as far",
        "app/paging/merge.py",
        "                waiting = self._waiting()\n                self.has_more = not waiting\n",
        "                waiting = []\n                self.has_more = True\n",
        "tests/properties/test_merge.py::test_three_long_streams_that_stop_lose_and_repeat_nothing",
    ),
    Bug(
        "an event is returned before a slower stream was read",
        "app/paging/merge.py",
        "and (stream.complete_until is None or not self._is_beyond((stream.complete_until,), key))",
        "and stream.complete_until is None",
        "tests/properties/test_merge.py::test_one_page_contains_the_first_events",
    ),
    Bug(
        "a run of one stream's events is returned before earlier events of another",
        "app/paging/merge.py",
        "while buffer and len(run) < most and (edge is None or self._is_beyond(edge, buffer[0].key)):",
        "while buffer and len(run) < most:",
        "tests/properties/test_merge.py::test_one_page_contains_the_first_events",
    ),
    Bug(
        "events beyond a falling watermark stay on the page",
        "app/paging/merge.py",
        "        if count := len(list(beyond)):",
        "        if count := 0:",
        "tests/properties/test_merge.py::test_a_ceiling_holds_back_what_is_not_settled",
    ),
    Bug(
        "the position of a refused stream advances with the others",
        "app/paging/merge.py",
        "if stream.failed or stream.refused else boundary",
        "if stream.failed else boundary",
        "tests/paging/test_faults_partial.py::test_a_permission_granted_during_a_walk_adds_all_later_events",
    ),
    Bug(
        "cursors are opened in any spelling",
        "app/paging/cursor.py",
        '        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:',
        "        if False:",
        "tests/properties/test_cursors.py::test_only_the_canonical_encoding_of_a_cursor_is_accepted",
    ),
)


class Plant(SourceFileLoader):
    """Load a module with the bug, without the cache of compiled modules."""

    def __init__(self, name: str, bug: Bug) -> None:
        super().__init__(name, str(ROOT / bug.file))
        self.bug = bug

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text()
        if source.count(self.bug.old) != 1:
            raise ValueError(f"{self.bug.file} has changed: no single place to plant {self.bug.name!r} in")
        return compile(source.replace(self.bug.old, self.bug.new), self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self.name, self.bug = bug.file.removesuffix(".py").replace("/", "."), bug

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, Plant(fullname, self.bug)) if fullname == self.name else None


def is_detected(bug: Bug) -> bool:
    """Run the bug's test in a child process with the bug planted. Raise RuntimeError if it does not run. The child
    inherits the libraries of this process, which must not have imported `app` yet."""
    if "app" in sys.modules:
        raise RuntimeError("app is imported already, without the bug")
    with tempfile.TemporaryFile() as output:
        if not (child := os.fork()):
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            sys.meta_path.insert(0, Finder(bug))
            code = 70
            try:
                code = pytest.main(["-x", "-q", "--tb=line", *(f"-p{name}" for name in PLUGINS), str(ROOT / bug.test)])
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        if code not in (0, 1):
            raise RuntimeError(f"the test could not be run:\n{output.read().decode()}")
    return code == 1


def main(words: list[str]) -> int:
    os.environ |= {"FUZZ_PLAIN": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for library in LIBRARIES:
        importlib.import_module(library)
    chosen = [bug for bug in BUGS if all(word in bug.name for word in words)]
    missed = 0
    for bug in chosen:
        before = os.times()
        missed += not (detected := is_detected(bug))
        seconds = os.times().children_user - before.children_user
        print(f"{'detected' if detected else 'NOT DETECTED'} in {seconds:.1f} s: {bug.name}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} bugs detected")
    return 1 if missed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
