"""The loop between a gateway and a receiver: cursor, retries, batches and shutdown."""

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import msgspec
import pytest
import stamina
import structlog
import structlog.testing

from app.domain.errors import ConfigurationError
from app.forward import Checkpoint, Item, Page, Temporary, TooLarge, load_checkpoint, locked, save_checkpoint
from app.forward import forwarder as module
from app.forward.forwarder import Forwarder, Stopped

UNREADABLE = ("gateway_forward_unreadable_records_total", {"target": "test://"})
FRESH = Checkpoint(asked="", through="2026-05-01T00:00:00Z")


def page(*numbers: int, after: int, more: bool, status: str = "ok") -> Page:
    """Return a page with the cursor `cursor-{after}`; without `more`, it is complete through 11:00."""
    events = [{"id": f"evt_{n}", "occurred_at": f"2026-05-01T10:{n:02}:00.000000Z"} for n in numbers]
    through = None if status == "failed" else "2026-05-01T11:00:00Z"
    sources = [
        {"name": "a", "status": status, "complete_through": through},
        {"name": "b", "status": "ok", "complete_through": "2026-05-01T11:00:30Z"},
        {"name": "c", "status": "skipped", "complete_through": None},
    ]
    return Page(events, more, f"cursor-{after}", {}, sources)


class World:
    """A gateway of scripted pages by cursor, and a receiver of scripted results. The loop stops after the last page."""

    def __init__(self, path: Path, pages: dict[str, Page], results: Sequence[Exception | None] = ()) -> None:
        self.path, self.pages, self.results = path, pages, list(results)
        self.queries: list[dict[str, str]] = []
        self.received: list[list[str]] = []
        self.saved: list[Checkpoint] = []
        self.on_delivery: Callable[[], None] = lambda: None
        self.before_result: Callable[[], None] = lambda: None

    def fetch(self, pairs: Sequence[tuple[str, str]]) -> Page:
        self.queries.append(dict(pairs))
        found = self.pages.get(dict(pairs).get("cursor", ""))
        if found is None:
            raise Stopped
        return found

    def deliver(self, items: Sequence[Item]) -> None:
        self.saved.append(self.stored)
        self.before_result()
        result = self.results.pop(0) if self.results else None
        if isinstance(result, Exception):
            raise result
        self.received.append([str(item.event["id"]) for item in items])
        self.on_delivery()

    def close(self) -> None:
        pass

    @property
    def stored(self) -> Checkpoint:
        return msgspec.json.decode(self.path.read_bytes(), type=Checkpoint) if self.path.exists() else FRESH

    def run(self, query: Sequence[tuple[str, str]] = ()) -> Forwarder:
        with locked(self.path):
            made = Forwarder(
                self.fetch,
                lambda event: json.dumps(event).encode() + b"\n",
                self,
                self.path,
                load_checkpoint(self.path, FRESH),
                shown="test://",
                limit=7,
            )
            with pytest.raises(Stopped):
                made.run(query)
        return made


def terminate(times: int) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "POLL", 0.0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with ExitStack() as stack:
        stack.callback(stamina.set_testing, False)
        stamina.set_testing(True, attempts=100)
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_cursor_moves_only_after_acceptance(tmp_path: Path) -> None:
    pages = {
        "": page(1, 2, after=1, more=True),
        "cursor-1": page(3, after=2, more=False),
        "cursor-2": page(after=3, more=False),
    }
    one = World(tmp_path / "c", pages, [Temporary("no"), None, Temporary("no", retry_after=0.0), None])
    made = one.run([("since", "2026-05-01"), ("partial", "true")])
    assert one.received == [["evt_1", "evt_2"], ["evt_3"]]
    assert [saved.cursor for saved in one.saved] == [None, None, "cursor-1", "cursor-1"]
    assert [saved.through for saved in one.saved][-1] == "2026-05-01T10:02:00.000000Z"
    assert one.stored == Checkpoint(asked="", cursor="cursor-3", through="2026-05-01T11:00:00Z", events=3)
    assert one.queries[:2] == [
        {"since": "2026-05-01", "partial": "true", "limit": "7"},
        {"cursor": "cursor-1", "partial": "true", "limit": "7"},
    ]
    metrics = {sample.name: sample.value for family in made.metrics.registry.collect() for sample in family.samples
            if sample.labels.get("side") != "gateway"}  # fmt: skip
    assert metrics["gateway_forward_events_total"] == 3
    assert metrics["gateway_forward_failures_total"] == 2
    assert metrics["gateway_forward_lag_seconds"] > 0
    next_run = World(tmp_path / "c", {"cursor-3": page(4, after=4, more=False)})
    next_run.run()
    assert (next_run.received, next_run.stored.events) == ([["evt_4"]], 4)


def test_a_failure_and_its_end_are_logged_once_each(tmp_path: Path) -> None:
    pages = {"": page(1, after=1, more=True), "cursor-1": page(2, after=2, more=False)}
    one = World(tmp_path / "c", pages, [Temporary("answered 500"), Temporary("answered 500"), None, None])
    with structlog.testing.capture_logs() as lines:
        one.run()
    assert [(line["event"], line.get("reason")) for line in lines[1:]] == [
        ("receiver_failed", "answered 500"),
        ("receiver_works_again", None),
    ]


def test_a_failed_source_holds_the_lag(tmp_path: Path) -> None:
    one = World(tmp_path / "c", {"": page(1, after=1, more=False, status="failed")})
    one.run([("partial", "true")])
    assert (one.stored.cursor, one.stored.through) == ("cursor-1", FRESH.through)
    assert module._seconds("2026-05-01") == module._seconds(FRESH.through) == 1777593600


def test_gaps_are_logged_at_each_change_and_counted(tmp_path: Path) -> None:
    def gap(after: int, status: str, reason: str | None) -> Page:
        warning = {"parameter": "actor", "value": "jon", "message": "jon is no address", "nearest": None}
        found = page(after, after=after, more=True, status=status)
        found.sources[0]["reason"] = reason
        return msgspec.structs.replace(found, warnings=[warning] if status == "forbidden" else ())

    bad = "times run back; 3 records that cannot be read are left out"
    pages = [
        gap(1, "ok", None), gap(2, "ok", bad), gap(3, "ok", bad.replace("3", "12")), gap(4, "forbidden", "team: 403"),
        gap(5, "ok", None),
    ]  # fmt: skip
    one = World(tmp_path / "c", {f"cursor-{number}" if number else "": found for number, found in enumerate(pages)})
    with structlog.testing.capture_logs() as lines:
        made = one.run()
    assert [(line["event"], line.get("gaps")) for line in lines[1:]] == [
        ("incomplete", ["a: ok, times run back; records that cannot be read are left out"]),
        ("incomplete", ["filter actor: a value that matches nothing", "a: forbidden, team: 403"]),
        ("complete_again", None),
    ]
    assert made.metrics.registry.get_sample_value(*UNREADABLE) == 15


def test_an_unreadable_record_at_the_end_of_the_log_is_counted_once(tmp_path: Path) -> None:
    pages = [page(after=number, more=False) for number in range(1, 5)]
    for number, found in enumerate(pages, start=1):
        found.sources[0]["reason"] = f"{1 + number // 4} records that cannot be read are left out"
    one = World(tmp_path / "c", {f"cursor-{number}" if number else "": found for number, found in enumerate(pages)})
    registry = one.run().metrics.registry
    assert registry.get_sample_value(*UNREADABLE) == 2


def test_only_temporary_failures_of_the_gateway_are_retried(tmp_path: Path) -> None:
    one = World(tmp_path / "c", {"": page(1, after=1, more=False)})
    failures: list[Exception] = [Temporary("away"), Temporary("away", retry_after=1)]
    fetch = one.fetch

    def failing(pairs: Sequence[tuple[str, str]]) -> Page:
        if failures:
            raise failures.pop()
        return fetch(pairs)

    one.fetch = failing  # type: ignore[method-assign]
    one.run()
    assert one.received == [["evt_1"]]
    failures.append(ConfigurationError("no such key"))
    with pytest.raises(ConfigurationError):
        one.run()


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    one = World(tmp_path / "c", {"": page(1, 2, 3, after=1, more=False)}, [TooLarge("413"), None, TooLarge("413")])
    one.run()
    assert one.received == [["evt_1"], ["evt_2"], ["evt_3"]]
    single = World(tmp_path / "d", {"": page(1, after=1, more=False)}, [TooLarge("413")])
    single.run()
    assert single.received == [["evt_1"]], "a single event that is too large is retried, not dropped"


def test_a_page_is_sent_in_batches_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 140)
    one = World(tmp_path / "c", {"": page(1, 2, 3, 4, 5, after=1, more=False)})
    one.run()
    assert one.received == [["evt_1", "evt_2"], ["evt_3", "evt_4"], ["evt_5"]]
    assert {saved.cursor for saved in one.saved} == {None}, "the cursor moves with the page"


def test_sigterm_completes_the_page_unless_sent_twice(tmp_path: Path) -> None:
    for times, stored in ((1, "cursor-1"), (2, None)):
        pages = {"": page(1, after=1, more=True), "cursor-1": page(2, after=2, more=True)}
        one = World(tmp_path / str(times), pages)
        one.on_delivery = partial(terminate, times)
        one.run()
        assert one.received == [["evt_1"]]
        assert one.stored.cursor == stored


def test_sigterm_ends_the_pause_after_a_failure(tmp_path: Path) -> None:
    one = World(tmp_path / "c", {"": page(1, after=1, more=True)}, [Temporary("no")])
    one.before_result = partial(terminate, 1)
    one.run()
    assert (one.received, one.stored.cursor) == ([], None)


def test_a_file_belongs_to_one_forwarder_and_one_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c"
    with locked(path):
        save_checkpoint(path, msgspec.structs.replace(FRESH, asked="type=a.b"))
        with pytest.raises(ConfigurationError, match="another forwarder"), locked(path):
            pass
        with pytest.raises(ConfigurationError, match=r"type=a\.b"):
            load_checkpoint(path, FRESH)
        path.write_text("[]")
        with pytest.raises(ConfigurationError, match="not written by"):
            load_checkpoint(path, FRESH)
    assert path.stat().st_mode & 0o077 == 0

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(ConfigurationError, match=r"refuses a lock .*NFS.*local disk"), locked(path):
        pass
