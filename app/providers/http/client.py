"""The one way out: every call to a provider goes through `ProviderHttp`.

It bounds what a provider can do to us (time, size, redirects), repeats what is worth repeating (all our calls are
reads), and translates httpx's exceptions into the gateway's, so that adapters never see any of them. What the calls
of a source share (circuit, pauses, limits) is in `app.providers.http.resilience`.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from app.domain.errors import SourceError, SourceFailed, SourceTimeout, SourceUnavailable
from app.providers.base import CallBudget, CommonSettings, SourceHealth
from app.providers.http.kept import KeptAnswers
from app.providers.http.resilience import Attempt, Resilience
from app.providers.http.responses import Answer, TruncatedResponse, error_for, now_of, read_body
from app.providers.observer import Outcome

if TYPE_CHECKING:
    from app.providers.http.transport import AiohttpTransport

__all__ = ["TRANSLATION", "Answer", "ProviderHttp", "error_for", "translate"]

_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
_HEADERS = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "audit-gateway"}
_KEEPALIVE = 30.0  #: seconds; a connection that the server closes earlier is noticed, or costs a retry

#: httpx's exceptions, most special first, and what they mean here. A test holds it complete.
TRANSLATION: Sequence[tuple[type[Exception], type[SourceError], str]] = (
    (httpx.ConnectTimeout, SourceTimeout, "the provider did not accept a connection in time"),
    (httpx.PoolTimeout, SourceTimeout, "too many calls to the provider are under way"),
    (httpx.TimeoutException, SourceTimeout, "the provider did not answer in time"),
    (httpx.ConnectError, SourceUnavailable, "the provider cannot be reached"),
    (httpx.RemoteProtocolError, SourceUnavailable, "the provider broke off its answer"),
    (httpx.NetworkError, SourceUnavailable, "the connection to the provider broke"),
    (httpx.ProxyError, SourceUnavailable, "the proxy towards the provider refused"),
    (httpx.DecodingError, SourceFailed, "the provider's answer has a broken content encoding"),
    (httpx.HTTPError, SourceFailed, "the call to the provider failed"),
    (httpx.InvalidURL, SourceFailed, "the provider's base URL is not valid"),
)


def load_transport() -> type[AiohttpTransport]:
    """What connections are made with, and calls repeated. To import it takes as long as the rest of the providers' code
    together, and it is not needed before the first call."""
    import app.providers.http.retries  # noqa: F401
    from app.providers.http.transport import AiohttpTransport

    return AiohttpTransport


class _TryAgain(Exception):
    """An answer or a failure that may be worth another attempt. `reason`: as for the observer."""

    def __init__(self, reason: Outcome, found: Answer | SourceError) -> None:
        self.reason, self.found = reason, found


class ProviderHttp:
    """Calls of one source, `name`. `transport` is the seam for tests and for vendors with a transport of their own;
    `on_answer` hears the `Date` of each answer, in µs."""

    def __init__(
        self,
        base_url: str,
        common: CommonSettings,
        *,
        name: str,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_answer: Callable[[int | None], None] | None = None,
    ) -> None:
        self._on_answer = on_answer
        self._max_bytes = common.max_answer_bytes
        self._resilience = Resilience(name, common)
        self._name, self._observer = name, common.observer
        self._kept = KeptAnswers(name, common) if common.page_cache > 0 else None
        self._base = base_url.rstrip("/") + "/"
        self._urls: dict[str, httpx.URL] = {}  # by path, of which an adapter has few
        self._server = (url := httpx.URL(self._base)).host, url.port
        self._headers = {**_HEADERS, **(headers or {})}
        if auth is not None:
            self._headers["authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        self._limits = {"timeout": httpx.Timeout(common.read_timeout, connect=common.connect_timeout).as_dict()}
        # The transport, without the client around it: redirects, cookies and retries are not for it to decide.
        self._given, self._most = transport, common.max_concurrency
        self._keepalive = min(_KEEPALIVE, common.read_timeout / 2)

    @cached_property
    def _transport(self) -> httpx.AsyncBaseTransport:
        return self._given or load_transport()(most=self._most, keepalive=self._keepalive)

    async def aclose(self) -> None:
        if "_transport" in self.__dict__:
            await self._transport.aclose()

    def health(self) -> SourceHealth:
        """How the calls fare now: the source's own `health`."""
        return self._resilience.health()

    async def call(
        self,
        method: str,
        path: str,
        spent: CallBudget,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Answer:
        """One logical call; repeated up to twice on failures that pass, within the deadline in `spent`. Where that says
        so, an equal one that was just made will do.

        Every attempt counts in `spent.calls`. Returns whatever status came last. Raises SourceTimeout,
        SourceUnavailable or SourceFailed where no answer came, it broke a bound, or the provider is left alone."""

        async def ask() -> Answer:
            self._resilience.begin(spent)
            return await self._in_time(spent, self._repeated(method, path, spent, params, json))

        if self._kept is None or not spent.kept_will_do:
            return await ask()
        call = msgspec.json.encode([method, path, params, json], order="sorted")
        return await self._in_time(spent, self._kept.get(call, spent, ask))

    async def _in_time(self, spent: CallBudget, work: Coroutine[Any, Any, Answer]) -> Answer:
        left = self._resilience.left(spent)
        try:
            async with asyncio.timeout(None if left == float("inf") else left):
                return await work
        except TimeoutError:
            raise SourceTimeout("the provider did not answer within the request's deadline") from None

    async def _repeated(
        self, method: str, path: str, spent: CallBudget, params: Mapping[str, str] | None, json: Any
    ) -> Answer:
        from app.providers.http.retries import attempts

        made_before = 0
        last: _TryAgain | None = None

        def worth_repeating(error: Exception) -> bool | float:
            nonlocal last
            if not isinstance(error, _TryAgain):
                return False
            last = error
            return self._resilience.may_retry(made_before, error.reason, spent)

        try:
            async for attempt in attempts(worth_repeating):
                with attempt:
                    async with self._resilience.attempt(spent) as made:
                        self._observer.on_attempt(self._name, method, self._server, made_before)
                        made_before += 1
                        return await self._send(made, method, path, spent, params, json)
        except _TryAgain:
            pass
        except SourceUnavailable:
            # The source was shut to us between two attempts: what the provider said itself tells more.
            if last is None:
                raise
        assert last is not None  # the loop ends by return or by raising what it was told of
        if isinstance(last.found, Answer):
            return last.found
        raise last.found

    async def _send(
        self, made: Attempt, method: str, path: str, spent: CallBudget, params: Mapping[str, str] | None, json: Any
    ) -> Answer:
        """One attempt. Raises _TryAgain and SourceFailed."""
        spent.calls += 1
        try:
            url = self._urls.get(path)
            if url is None:
                url = self._urls[path] = httpx.URL(self._base + path.lstrip("/"))
            if params:
                url = url.copy_with(params=params)
            request = httpx.Request(method, url, headers=self._headers, json=json, extensions=self._limits)
            response = await self._transport.handle_async_request(request)
            try:
                body = await read_body(response, self._max_bytes)
            finally:
                await response.aclose()
        except TruncatedResponse:
            made.outcome, made.ok = "connection", False
            raise _TryAgain("connection", SourceUnavailable("the provider broke off its answer")) from None
        except SourceFailed:
            # It answers, if badly: that is for the caller to hear, not a reason to leave the provider alone.
            made.outcome, made.ok = "unusable", True
            raise
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            translated = translate(error)
            if isinstance(translated, SourceFailed):
                made.outcome, made.ok = "error", False
                raise translated from None
            made.outcome, made.ok = "timeout" if isinstance(translated, SourceTimeout) else "connection", False
            raise _TryAgain(made.outcome, translated) from None
        answer = Answer(response.status_code, body, response.headers, now_of(response.headers))
        made.outcome, made.ok = str(answer.status), answer.status < 500
        if self._on_answer is not None:
            self._on_answer(answer.date)
        if answer.status in _RETRIED_STATUS:
            if answer.retry_after:
                await self._resilience.pause(answer.retry_after)
            raise _TryAgain(made.outcome, answer)
        return answer


def translate(error: Exception) -> SourceError:
    """The gateway's error for one of httpx's."""
    for kind, ours, detail in TRANSLATION:
        if isinstance(error, kind):
            return ours(detail)
    raise TypeError(f"no translation for {type(error).__name__}") from error
