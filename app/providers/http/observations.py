"""What one process has observed of a source: facts, and calls that the provider refuses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from app.domain.errors import (
    SourceError,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
    TemporaryFailure,
)
from app.domain.times import SECOND, format_seconds
from app.providers.base import CallBudget

#: Seconds after which a kind of call is made again that failed, and that failed because the provider was unavailable.
_AGAIN, _SOON = 600.0, 60.0
_OFTEN, _LASTING = 4, 30.0  #: failures, and their seconds, after which the next one of a proof counts as a refusal
_LONGEST = 3600.0  #: seconds

T = TypeVar("T")


class OptionalCalls:
    """Calls of one source that its provider may refuse, and their failures by kind. `clock` returns µs since the epoch.

    A hint makes an answer cheaper, or adds details; a proof shows that nothing is left out. Without a proof that the
    provider refuses, the caller adds a reason, or makes a count an estimate. A proof that cannot be made now fails the
    request as any other call does: an answer must not end at an unproven place because of a rate limit.

    Both are no failures of the source: they neither open the circuit nor count for it. A 401 is raised, because it
    concerns all calls."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._failures: dict[Hashable, tuple[SourceError, int]] = {}  # and until when they are remembered
        self._failing: dict[Hashable, tuple[int, int]] = {}  # first failure of proofs, and failures without a success
        self._refused: dict[Hashable, int] = {}  # until when a proof counts as refused

    def failure(self, kind: Hashable) -> SourceError | None:
        """Return the failure for which no hint of a kind is requested now."""
        error, until = self._failures.get(kind, (None, 0))
        return error if self._clock() < until else None

    async def hint(self, kind: Hashable, spent: CallBudget, make: Callable[[CallBudget], Awaitable[T]]) -> T | None:
        """Return the result of `make`, which passes its budget to all calls; None if it failed, now or lately. `kind`:
        one of few. Raises SourceUnauthorized, but no other SourceError.

        A failure costs half of the time left at most, once in ten minutes, or in one if the provider was unavailable.
        `Retry-After` pauses the calls of this kind only, because the vendor may limit them apart; if it limits all, the
        next call that the answer needs receives it, too."""
        if self.failure(kind) is not None:
            return None
        own = CallBudget(deadline=(time.monotonic() + spent.deadline) / 2, role="hint")
        try:
            # A little more than each call has, so that its failure can be handled.
            async with asyncio.timeout(min(own.deadline - time.monotonic(), _LONGEST)):
                return await make(own)
        except SourceUnauthorized:
            raise
        except SourceError as failure:
            error = failure
        except TimeoutError:
            error = SourceTimeout("the provider did not answer in time")
        finally:
            spent.add(own)
        if own.calls:  # else the gateway's own limits refused the call
            seconds = error.retry_after or (_SOON if isinstance(error, SourceUnavailable) else _AGAIN)
            self._failures[kind] = error, self._clock() + int(seconds * SECOND)
        return None

    async def prove(self, kind: Hashable, spent: CallBudget, make: Callable[[CallBudget], Awaitable[T]]) -> T | None:
        """Return the result of `make`, as for `hint`; None if the provider refuses it, or did in the last ten minutes.
        Raises SourceUnauthorized and, if the proof cannot be made now, SourceUnavailable or SourceTimeout.

        An error of the server after all retries counts as refused for a minute: servers fail in this way where they do
        not expect a call, such as after the end of a list. So does, for ten minutes, a proof that goes on failing
        otherwise for half a minute, without a time to retry after, because other calls of the same requests succeed.
        Such a failure costs half of the time left at most."""
        now, until = self._clock(), self._refused.get(kind)
        if until is not None and now < until:
            return None
        first, count = self._failing.get(kind, (now, 0))
        if now - first > _AGAIN * SECOND:
            first, count = now, 0
        is_lasting = until is not None or (count >= _OFTEN and now - first >= _LASTING * SECOND)
        begun = time.monotonic()
        # Less than all of the time left, because the end of the request would leave the failure uncounted.
        deadline = begun + (spent.deadline - begun) * (0.5 if is_lasting else 0.9)
        own, seconds = CallBudget(deadline=deadline, role="proof"), _AGAIN
        try:
            found = await make(own)
        except SourceUnauthorized:
            raise
        except TemporaryFailure as error:
            seconds = _SOON
            self._failures[kind] = error, now + int(seconds * SECOND)
        except (SourceUnavailable, SourceTimeout) as error:
            if error.retry_after or not own.calls:
                raise
            self._failing[kind] = first, count + 1
            if not is_lasting:
                raise
            self._failures[kind] = error, now + int(_AGAIN * SECOND)
        except SourceError:
            pass
        else:
            self._failing.pop(kind, None)
            self._refused.pop(kind, None)
            return found
        finally:
            spent.add(own)
        self._refused[kind] = now + int(seconds * SECOND)
        return None


class Observations:
    """Named facts. `clock` returns µs since the epoch. A fact keeps its time until its value changes."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._facts: dict[str, tuple[Any, str, int]] = {}

    def note(self, name: str, value: Any, how: str) -> None:
        """Record a fact. `how` is a phrase without personal data."""
        held = self._facts.get(name)
        if held is None or held[0] != value:
            self._facts[name] = (value, how, self._clock())

    def note_clock(self, date: int | None) -> None:
        """Record the difference between a provider's `Date`, in µs, and this machine's clock, in whole seconds."""
        if date is not None:
            # Date has no fractions: the middle of its second is the best guess.
            offset = round((date + 500_000 - self._clock()) / 1e6)
            self.note("clock_offset_seconds", offset, "the Date header of its answers, against this machine's clock")

    def describe(self) -> list[dict[str, Any]]:
        """Return `[{"name", "value", "how", "at"}]`, by name."""
        return [
            {"name": name, "value": value, "how": how, "at": format_seconds(at)}
            for name, (value, how, at) in sorted(self._facts.items())
        ]
