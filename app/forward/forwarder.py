"""The loop: a page from the gateway, its events to the receiver, the cursor to the file; for ever."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, Protocol

import msgspec
import stamina
import stamina.instrumentation
import structlog

from app.forward.checkpoint import Checkpoint, CheckpointFile
from app.forward.metrics import ForwardMetrics
from app.forward.target import Item, Target, Temporary, TooLarge

Pairs = Sequence[tuple[str, str]]

POLL = 5.0  #: seconds between two questions for events when there was none
MAX_BYTES = 524_288  #: of one batch; receivers commonly refuse bodies above 1 MB
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 60.0  #: seconds between two attempts

log = structlog.get_logger()
# stamina would log repr(exception); failures are logged here.
stamina.instrumentation.set_on_retry_hooks([])


class Page(Protocol):
    """What the forwarder reads of a page of `GET /events`."""

    @property
    def events(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def has_more(self) -> bool: ...
    @property
    def next_cursor(self) -> str | None: ...
    @property
    def sources(self) -> Sequence[Mapping[str, Any]]: ...


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived."""


class Stopper:
    """Turns SIGTERM and SIGINT into Stopped: at once where nothing is under way, else after the page that is. A second
    signal always takes effect at once."""

    def __init__(self) -> None:
        self._busy = self._asked = False

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def defer(self) -> None:
        self._busy = True

    def release(self) -> None:
        """Raises Stopped if a signal arrived since `defer`."""
        self._busy = False
        if self._asked:
            raise Stopped

    def _on_signal(self, *_: object) -> None:
        second, self._asked = self._asked, True
        if second or not self._busy:
            raise Stopped


class Forwarder:
    """Moves pages to a target.

    `fetch` returns one page for query parameters and raises Temporary for what may pass; every other exception ends
    `run`. `render` returns an event's line in the chosen format. `query` are the parameters of the first page."""

    def __init__(
        self,
        fetch: Callable[[Pairs], Page],
        render: Callable[[dict[str, Any]], bytes],
        target: Target,
        file: CheckpointFile,
        checkpoint: Checkpoint,
        stopper: Stopper,
        *,
        shown: str,
        limit: int,
    ) -> None:
        self._fetch, self._render, self._target, self._file = fetch, render, target, file
        self._checkpoint, self._stopper, self._limit = checkpoint, stopper, limit
        self._failure = ""
        self.metrics = ForwardMetrics(shown, lambda: datetime.fromisoformat(self._checkpoint.through).timestamp())

    def run(self, query: Pairs) -> NoReturn:
        """Forward until a signal. Raises Stopped, Gone, and what `fetch` raises beside Temporary."""
        kept = [pair for pair in query if pair[0] == "partial"]  # the cursor holds the rest
        while True:
            cursor = self._checkpoint.cursor
            pairs = [*query] if cursor is None else [("cursor", cursor), *kept]
            page = self._fetch_patiently([*pairs, ("limit", str(self._limit))])
            self._stopper.defer()
            for items in self._batches(page):
                self._deliver(items)
            self._advance(page)
            self._stopper.release()
            if not page.has_more:
                time.sleep(POLL)

    def _batches(self, page: Page) -> Iterator[list[Item]]:
        """The page's events in batches of at most MAX_BYTES, unless one event alone is larger."""
        items: list[Item] = []
        size = 0
        for event in page.events:
            line = self._render(dict(event)).rstrip(b"\n")
            if items and size + len(line) > MAX_BYTES:
                yield items
                items, size = [], 0
            items.append(Item(event, line))
            size += len(line)
        if items:
            yield items

    def _fetch_patiently(self, pairs: Pairs) -> Page:
        for attempt in _attempts(lambda error: self._on_failure("gateway", error)):
            with attempt:
                page = self._fetch(pairs)
        self._failure = ""
        return page

    def _deliver(self, items: list[Item]) -> None:
        """Send until the receiver accepted; by halves where it finds a batch too large."""

        def on_failure(error: Exception) -> bool | float:
            if isinstance(error, TooLarge) and len(items) > 1:
                return False
            return self._on_failure("receiver", error)

        try:
            for attempt in _attempts(on_failure):
                with attempt:
                    self._stopper.defer()
                    self._target.deliver(items)
        except TooLarge:
            middle = len(items) // 2
            self._deliver(items[:middle])
            self._deliver(items[middle:])
            return
        self._failure = ""
        self.metrics.accepted(len(items))

    def _on_failure(self, side: str, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds. Logs each failure once until something else happens."""
        if not isinstance(error, Temporary):
            return False
        self.metrics.failed(side)
        if str(error) != self._failure:
            self._failure = str(error)
            log.warning(f"{side}_failed", reason=self._failure, retry="for ever")
        self._stopper.release()  # a signal ends the pause
        return True if error.retry_after is None else max(error.retry_after, _FIRST_WAIT)

    def _advance(self, page: Page) -> None:
        """Move the cursor behind the page. All of its events were accepted."""
        self._checkpoint = msgspec.structs.replace(
            self._checkpoint,
            cursor=page.next_cursor,
            through=_through(page) or self._checkpoint.through,
            events=self._checkpoint.events + len(page.events),
        )
        self._file.save(self._checkpoint)


def _attempts(on: Callable[[Exception], bool | float]) -> Iterator[stamina.Attempt]:
    return iter(
        stamina.retry_context(
            on=on, attempts=None, timeout=None, wait_initial=_FIRST_WAIT, wait_max=_LONGEST_WAIT, wait_jitter=0.25
        )
    )


def _through(page: Page) -> str | None:
    """The time up to which every matching event is in this page or an earlier one; None where the page does not show
    it: a source failed, or there is nothing in it."""
    if any(source["status"] == "failed" for source in page.sources):
        return None
    if page.has_more:
        return str(page.events[-1]["occurred_at"]) if page.events else None
    times = [str(source["complete_through"]) for source in page.sources if source.get("complete_through")]
    return min(times, key=datetime.fromisoformat, default=None)
