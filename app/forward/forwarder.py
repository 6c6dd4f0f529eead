"""Endless loop: a page from the gateway, its events to the receiver, the cursor to the file."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import stamina
import stamina.instrumentation
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from app.domain.errors import ConfigurationError
from app.forward import UNREADABLE_RECORDS, Checkpoint, Item, Page, Pairs, Target, Temporary, TooLarge, save_checkpoint

T = TypeVar("T")
_Kinds = type[Exception] | tuple[type[Exception], ...]

POLL = 5.0  #: seconds between two requests while there are no events
MAX_BYTES = 524_288  #: of one batch; receivers commonly refuse bodies above 1 MB
_WAITS = {"wait_initial": 0.25, "wait_max": 60.0, "wait_jitter": 0.25}  #: seconds between two attempts

log = structlog.get_logger()
# stamina would log repr(exception); failures are logged here.
stamina.instrumentation.set_on_retry_hooks([])


class Stopped(BaseException):
    """SIGTERM or SIGINT arrived."""


class Forwarder:
    """Move pages to a target.

    `fetch` returns one page for query parameters, and raises Temporary for a failure to retry; other exceptions end
    `run`. `render` returns an event's line in the chosen format. `query` are the parameters of the first page."""

    def __init__(
        self,
        fetch: Callable[[Pairs], Page],
        render: Callable[[dict[str, Any]], bytes],
        target: Target,
        file: Path,
        checkpoint: Checkpoint,
        *,
        shown: str,
        limit: int,
    ) -> None:
        self._fetch, self._render, self._target, self._file = fetch, render, target, file
        self._checkpoint, self._limit = checkpoint, limit
        self._is_busy = self._is_stopping = False
        self._shown, self._failure = shown, ""
        self._gaps: list[str] = []  # of the last page
        self._unreadable = 0  # records of the last page, if the next one may contain them again
        self.metrics = ForwardMetrics(shown, lambda: _seconds(self._checkpoint.through))

    def run(self, query: Pairs) -> NoReturn:
        """Forward until a signal, in the main thread. Raises Stopped, Gone, and errors of `fetch` except Temporary.

        SIGTERM and SIGINT raise Stopped: immediately if idle, else after the current page. A second signal takes effect
        immediately."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        log.info("forwarding", target=self._shown, through=self._checkpoint.through, events=self._checkpoint.events)
        kept = [pair for pair in query if pair[0] == "partial"]  # the cursor holds the rest
        while True:
            cursor = self._checkpoint.cursor
            asked = [*(query if cursor is None else [("cursor", cursor), *kept]), ("limit", str(self._limit))]
            page = self._with_retries("gateway", partial(self._fetch, asked))
            self._is_busy = True
            for items in self._batches(page):
                self._deliver(items)
            self._note_gaps(page)
            self._checkpoint = msgspec.structs.replace(
                self._checkpoint,
                cursor=page.next_cursor,
                through=_through(page) or self._checkpoint.through,
                events=self._checkpoint.events + len(page.events),
            )
            save_checkpoint(self._file, self._checkpoint)
            self._stop_if_asked()
            if not page.has_more:
                time.sleep(POLL)

    def _on_signal(self, *_: object) -> None:
        is_second, self._is_stopping = self._is_stopping, True
        if is_second or not self._is_busy:
            raise Stopped

    def _stop_if_asked(self) -> None:
        """Raises Stopped if a signal arrived while the forwarder was busy."""
        self._is_busy = False
        if self._is_stopping:
            raise Stopped

    def _batches(self, page: Page) -> Iterator[list[Item]]:
        """Yield the page's events in batches of at most MAX_BYTES; a larger event is a batch of its own."""
        items: list[Item] = []
        size = 0
        for event in page.events:
            line = self._render(event).rstrip(b"\n")
            if items and size + len(line) > MAX_BYTES:
                yield items
                items, size = [], 0
            items.append(Item(event, line))
            size += len(line)
        if items:
            yield items

    def _deliver(self, items: list[Item]) -> None:
        """Send until the receiver accepts; halve a batch that is too large."""

        def send() -> None:
            self._is_busy = True
            self._target.deliver(items)

        try:
            self._with_retries("receiver", send, () if len(items) == 1 else TooLarge)
        except TooLarge:
            middle = len(items) // 2
            self._deliver(items[:middle])
            self._deliver(items[middle:])
        else:
            self.metrics.events.inc(len(items))
            self.metrics.batches.inc()

    def _with_retries(self, side: str, call: Callable[[], T], final: _Kinds = ()) -> T:
        """Return the result of `call`, retried on Temporary except `final`. Logs a repeated failure once; a signal ends
        the pause between two attempts."""

        def on_failure(error: Exception) -> bool | float:
            if not isinstance(error, Temporary) or isinstance(error, final):
                return False
            self.metrics.failures[side].inc()
            if str(error) != self._failure:
                self._failure = str(error)
                log.warning(f"{side}_failed", reason=self._failure)
            self._stop_if_asked()
            return True if error.retry_after is None else max(error.retry_after, _WAITS["wait_initial"])

        for attempt in stamina.retry_context(on=on_failure, attempts=None, timeout=None, **_WAITS):
            with attempt:
                result = call()
        if self._failure:
            self._failure = ""
            log.info(f"{side}_works_again")
        return result

    def _note_gaps(self, page: Page) -> None:
        """Count unreadable records, and log the page's gaps if they differ from the previous page's."""
        gaps, unreadable = [], 0
        for warning in page.warnings:
            # Without the value, which may be a person's address.
            near = f", the nearest known one is {warning['nearest']}" if warning.get("nearest") else ""
            gaps.append(f"filter {warning['parameter']}: a value that matches nothing{near}")
        for source in page.sources:
            if source["status"] == "skipped":
                continue
            reason = source.get("reason") or ""
            unreadable += sum(map(int, UNREADABLE_RECORDS.findall(reason)))
            if reason or source["status"] != "ok":
                gaps.append(
                    f"{source['name']}: {source['status']}, {UNREADABLE_RECORDS.sub('records', reason)}".rstrip(", ")
                )
        # Without new events, the provider sends the same records again.
        self.metrics.unreadable.inc(max(0, unreadable - self._unreadable))
        self._unreadable = 0 if page.has_more else unreadable
        if gaps != self._gaps:
            log.warning("incomplete", gaps=gaps) if gaps else log.info("complete_again")
            self._gaps = gaps


def _seconds(text: str) -> float:
    """Return the seconds since 1970 of a time or a date (UTC)."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _through(page: Page) -> str | None:
    """Return the time up to which every matching event is in this page or an earlier one; None if unknown, because a
    source failed or the page is empty."""
    if any(source["status"] == "failed" for source in page.sources):
        return None
    if page.has_more:
        return str(page.events[-1]["occurred_at"]) if page.events else None
    times = [str(source["complete_through"]) for source in page.sources if source.get("complete_through")]
    return min(times, key=datetime.fromisoformat, default=None)


class ForwardMetrics:
    """`through` returns the time (seconds since 1970) up to which every matching event was accepted."""

    def __init__(self, target: str, through: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"gateway_forward_{name}", text, ["target", *labels], registry=registry)

        self.events = counter("events", "Events that the receiver accepted.").labels(target)
        self.batches = counter("batches", "Batches accepted.").labels(target)
        self.unreadable = counter("unreadable_records", "Records left out, unreadable.").labels(target)
        failures = counter("failures", "Failed attempts.", "side")
        self.failures = {side: failures.labels(target, side) for side in ("gateway", "receiver")}
        text = "Age of the time up to which every matching event was accepted."
        lag = Gauge("gateway_forward_lag_seconds", text, ["target"], registry=registry)
        lag.labels(target).set_function(lambda: max(0.0, time.time() - through()))


def serve_metrics(address: str, registry: CollectorRegistry) -> None:
    """Serve on `HOST:PORT` or `:PORT` (all addresses) in a thread. Raises ConfigurationError."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigurationError("--metrics must be HOST:PORT, such as 127.0.0.1:9464.")
    try:
        start_http_server(int(port), host.strip("[]") or "0.0.0.0", registry)
    except OSError as error:
        raise ConfigurationError(f"--metrics: {address} cannot be listened on ({error.strerror}).") from None
