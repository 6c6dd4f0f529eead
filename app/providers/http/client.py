"""HTTP client for all calls to providers.

`ProviderHttp` bounds time, size and redirects of responses, retries temporary failures (all calls only read), and
raises only the gateway's errors. The retries are a loop of its own, because each one also depends on the pause, the
circuit and the retry budget of the source, which can change between two attempts.
"""

from __future__ import annotations

import asyncio
import random
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import structlog
from yarl import URL

from app.domain.errors import (
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
    TemporaryFailure,
)
from app.domain.times import SECOND, format_seconds
from app.providers.base import CallBudget, CommonSettings, SourceHealth
from app.providers.http.concurrency import CallLimiter, RetryBudget
from app.providers.http.response import Response, error_for
from app.providers.http.source_state import SourceState, time_left
from app.providers.http.transport import AiohttpTransport, Transport
from app.providers.observer import Outcome

__all__ = ["ProviderHttp", "Response", "error_for"]

_HEADERS = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "audit-gateway"}
_ATTEMPTS = 3
#: Temporary statuses of overload and of intermediaries (520 to 524: Cloudflare; 529: overloaded).
RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_ENOUGH_TIME = 2.0  #: seconds; with less time before the deadline, a provider has not failed
_ENOUGH_TO_RETRY = 0.5  #: least seconds of the deadline for a retry

_log = structlog.get_logger("gateway")


class RetryableFailure(Exception):
    """A response or failure that may be retried. `reason`: as for the observer."""

    def __init__(self, reason: Outcome, found: Response | SourceError) -> None:
        self.reason, self.found = reason, found


class ProviderHttp:
    """Calls of one source, `name`. `transport` is the seam for tests and for vendors with a transport of their own;
    `on_answer` receives the `Date` of each response, in µs."""

    def __init__(
        self,
        base_url: str,
        common: CommonSettings,
        *,
        name: str,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        transport: Transport | None = None,
        on_answer: Callable[[int | None], None] | None = None,
    ) -> None:
        self._name, self._observer, self._on_answer = name, common.observer, on_answer
        self._base = base_url.rstrip("/") + "/"
        self._urls: dict[str, str] = {}  # by path; an adapter has few
        url = URL(self._base)
        self._host = url.authority
        self._headers = {**_HEADERS, **(headers or {})}
        if auth is not None:
            self._headers["authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        self._json_headers = {**self._headers, "content-type": "application/json"}
        self._state = SourceState(name, self._host, common)
        shared, rate = common.shared, common.max_rate
        take = None if shared is None or rate is None else shared.rate(name, rate)
        self._limiter = CallLimiter(common.max_concurrency, rate, take)
        self._retry_budget, self._sleep = RetryBudget(common.timer), common.sleep
        self._transport: Transport = transport or AiohttpTransport(common)

    async def aclose(self) -> None:
        await self._transport.aclose()

    def health(self) -> SourceHealth:
        """Return the state of the source's calls."""
        return self._state.health(in_flight=self._limiter.in_flight, waiting=self._limiter.waiting)

    async def call(
        self, method: str, path: str, budget: CallBudget, *, params: Mapping[str, str] | None = None, json: Any = None
    ) -> Response:
        """Make one logical call, with up to two retries of temporary failures, within the deadline of `budget`.

        Every attempt counts in `budget`; for its `role`, see `OptionalCalls`. Returns the last response, with any
        status. Raises SourceTimeout, SourceUnavailable or SourceFailed without a response, above a bound, or if the
        source accepts no calls."""
        left = time_left(budget)
        if left <= 0:
            self._observer.on_refused(self._name, "deadline")
            raise SourceTimeout("the request's deadline passed before the provider was called")
        self._retry_budget.calls += 1
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = str(URL(self._base + path.lstrip("/")))
        if params:
            url = f"{url}?{urlencode(params, safe=':')}"  # texts without escapes take a quarter of the time
        content = None if json is None else msgspec.json.encode(json)
        try:
            async with asyncio.timeout(None if left == float("inf") else left):
                try:
                    return await self._attempt(budget, method, url, content)
                except RetryableFailure as failure:
                    return await self._retry(failure, budget, method, url, content)
        except TimeoutError:
            raise SourceTimeout("the provider did not answer within the request's deadline") from None

    async def _retry(
        self, last: RetryableFailure, budget: CallBudget, method: str, url: str, content: bytes | None
    ) -> Response:
        """Repeat a failed call. Returns the last response; raises the last error if there was none."""
        for made in range(1, _ATTEMPTS):
            left = time_left(budget)
            if left <= _ENOUGH_TO_RETRY or self._state.pause_left() >= left / 2 or self._state.circuit != "closed":
                break
            if not self._retry_budget.take():
                break
            self._observer.on_retry(self._name, last.reason)
            if self._state.pause_left() <= 0:  # else the next attempt waits for the end of the pause
                await self._sleep(0.1 * 2 ** (made - 1) + random.uniform(0.0, 0.2))
            try:
                return await self._attempt(budget, method, url, content)
            except RetryableFailure as failure:
                last = failure
            except SourceUnavailable:
                break  # the source closed between two attempts; the provider's own response is more precise
        if isinstance(last.found, Response):
            return last.found
        _log.warning("source_call_failed", source=self._name, host=self._host, cause=last.found.detail)
        raise last.found from None

    async def _attempt(self, budget: CallBudget, method: str, url: str, content: bytes | None) -> Response:
        """Make one attempt. Raises RetryableFailure, SourceFailed, and SourceUnavailable if the source accepts no
        calls."""
        permit = None
        while permit is None:
            await self._state.wait_until_open(budget)
            await self._limiter.enter(id(budget))
            # During the wait, the provider may have failed or demanded a pause.
            permit = self._state.enter(id(budget))
            if permit is None:
                self._limiter.leave()
        begun, outcome, ok, cause = time.monotonic(), "canceled", None, ""  # type: float, str, bool | None, str
        budget.calls += 1
        try:
            headers = self._headers if content is None else self._json_headers
            response = await self._transport.send(method, url, headers, content)
            outcome, ok = str(response.status), response.status < 500
            cause = f"the provider answered {outcome}"
        except SourceFailed:
            # An unusable response is no reason to suspend calls.
            outcome, ok = "unusable", True
            raise
        except SourceError as error:
            outcome, ok, cause = "timeout" if isinstance(error, SourceTimeout) else "connection", False, error.detail
            raise RetryableFailure(outcome, error) from None
        except asyncio.CancelledError:
            # At the deadline (not at a disconnect), a provider that had enough time has failed.
            if time_left(budget) <= 0:
                outcome, cause = "timeout", "the provider did not answer within the request's deadline"
                ok = False if time.monotonic() - begun >= _ENOUGH_TIME else None
            raise
        finally:
            self._state.settle(permit, None if budget.role != "needed" and not ok else ok, cause)
            self._limiter.leave()
            self._observer.on_call(self._name, outcome, time.monotonic() - begun)
        if self._on_answer is not None:
            self._on_answer(response.date)
        budget.bytes += len(response.body)
        if response.status in RETRIED_STATUS:
            if response.retry_after and budget.role == "hint":
                return response  # a pause for calls of its kind only
            if response.retry_after:
                await self._state.pause(response.retry_after, cause)
            raise RetryableFailure(outcome, response)
        if response.ok and not ends_as_json(response.body):
            raise RetryableFailure("unusable", response)
        if response.date is not None:
            budget.as_of = response.date if budget.as_of is None else min(budget.as_of, response.date)
        return response


def ends_as_json(body: bytes) -> bool:
    """Whether a body may be a JSON object, array or null, or is empty. A web page or JSON that is cut short is a
    temporary failure of a server or proxy: a proof that it replaces would be missing for ten minutes."""
    return body[-1:] in b"]}" or (body.rstrip()[-1:] in b"]}") or body.strip() == b"null"


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
        deadline = (time.monotonic() + spent.deadline) / 2 if is_lasting else spent.deadline
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
