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
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog
from yarl import URL

from app.domain.errors import (
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceUnavailable,
)
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
