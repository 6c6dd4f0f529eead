"""What the rest of the gateway may watch of the calls to the providers: metrics, traces, logs.

Pass an `Observer` down in `CommonSettings`. Its methods run in the event loop, in the middle of a call: they must be
quick, and must not raise. What one request does runs in its task or in tasks that this one began, so that an observer
may keep what belongs to a request in a context variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Literal, Protocol

#: `closed`: calls go through. `open`: none does. `half_open`: one probe is under way or may be made.
CircuitState = Literal["closed", "open", "half_open"]

#: How one attempt ended: an HTTP status as text (`200`, `429`), or what stood in for one.
#: `timeout`, `connection` (refused, reset, broken off), `unusable` (too large, or in an encoding not asked for),
#: `canceled` (the caller went away or the deadline passed), `error` (anything else).
Outcome = str

#: Why a call was not sent at all.
Refusal = Literal["circuit_open", "pause", "deadline"]

#: What the feed does with the calls to the providers that it makes meanwhile.
Part = Literal["page", "count", "event"]


class Observer(Protocol):
    """`source` is the configured name throughout: a small, fixed set."""

    def part(self, name: Part) -> AbstractContextManager[None]:
        """Entered when the feed begins with it, left when it is done; other parts may be under way beside it."""

    def on_attempt(self, source: str, method: str, server: tuple[str, int | None], retry: int) -> None:
        """An attempt is about to be sent to `server`, a host and its port (None: the scheme's own); `retry`: 0 for the
        first one of a call. `on_call` follows, in the same task."""

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        """One attempt ended, `seconds` after it was sent (waiting for its turn not counted)."""

    def on_retry(self, source: str, reason: Outcome) -> None:
        """An attempt that ended with `reason` is about to be repeated."""

    def on_refused(self, source: str, reason: Refusal) -> None:
        """A call was answered without asking the provider."""

    def on_circuit(self, source: str, state: CircuitState) -> None:
        """The source's circuit changed its state. Also called once with `closed` when the source is made."""

    def on_bad_records(self, source: str, count: int) -> None:
        """A page came upon `count` (at least 1) records that could not be read."""

    def on_kept(self, source: str, hit: bool) -> None:
        """A call for which a kept answer would do was answered with one, or with one that another call was just
        waiting for (`hit`); or it goes to the provider. Never called where no answers are kept. For a whole page that
        was kept it is called once for each source."""


class NoObserver:
    """Watches nothing."""

    def part(self, name: Part) -> AbstractContextManager[None]:
        return _NOTHING

    def on_attempt(self, source: str, method: str, server: tuple[str, int | None], retry: int) -> None: ...

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None: ...

    def on_retry(self, source: str, reason: Outcome) -> None: ...

    def on_refused(self, source: str, reason: Refusal) -> None: ...

    def on_circuit(self, source: str, state: CircuitState) -> None: ...

    def on_bad_records(self, source: str, count: int) -> None: ...

    def on_kept(self, source: str, hit: bool) -> None: ...


_NOTHING = nullcontext()


class Observers:
    """Several at once, told in this order."""

    def __init__(self, *observers: Observer) -> None:
        self._all = observers

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        with ExitStack() as stack:
            for observer in self._all:
                stack.enter_context(observer.part(name))
            yield

    def on_attempt(self, source: str, method: str, server: tuple[str, int | None], retry: int) -> None:
        for observer in self._all:
            observer.on_attempt(source, method, server, retry)

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        for observer in self._all:
            observer.on_call(source, outcome, seconds)

    def on_retry(self, source: str, reason: Outcome) -> None:
        for observer in self._all:
            observer.on_retry(source, reason)

    def on_refused(self, source: str, reason: Refusal) -> None:
        for observer in self._all:
            observer.on_refused(source, reason)

    def on_circuit(self, source: str, state: CircuitState) -> None:
        for observer in self._all:
            observer.on_circuit(source, state)

    def on_bad_records(self, source: str, count: int) -> None:
        for observer in self._all:
            observer.on_bad_records(source, count)

    def on_kept(self, source: str, hit: bool) -> None:
        for observer in self._all:
            observer.on_kept(source, hit)
