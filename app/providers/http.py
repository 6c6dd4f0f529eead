"""The one way out: every call to a provider goes through `ProviderHttp`.

It bounds what a provider can do to us (time, size, redirects), repeats what is worth repeating (all our calls are
reads), and translates httpx's exceptions into the gateway's, so that no other module knows httpx.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina
import stamina.instrumentation

from app.domain.errors import (
    SourceError,
    SourceFailed,
    SourceForbidden,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
)
from app.domain.times import to_micros
from app.providers.base import CommonSettings, Spent

# stamina logs every retry with repr(exception) by default; what a provider does to us is logged once, by the feed.
stamina.instrumentation.set_on_retry_hooks([])

_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
_ATTEMPTS = 3
_SAFETY = 0.05  #: seconds of the deadline left for answering

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


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's whole answer. `date` is its own now in µs, None where it sent no (valid) `Date`."""

    status: int
    body: bytes
    headers: httpx.Headers
    date: int | None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from either form of `Retry-After` (RFC 9110, section 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        moment = _http_date(text)
        if moment is None:
            return None
        return max(0.0, (moment - (self.date if self.date is not None else time.time_ns() // 1000)) / 1e6)


class _TryAgain(Exception):
    """An answer or a failure that is worth another attempt."""

    def __init__(self, wait: float | None, answer: Answer | None, error: SourceError | None) -> None:
        self.wait, self.answer, self.error = wait, answer, error


class ProviderHttp:
    """Calls of one source. `transport` is the seam for tests and for vendors with a transport of their own; `on_answer`
    hears the `Date` of each answer, in µs."""

    def __init__(
        self,
        base_url: str,
        common: CommonSettings,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_answer: Callable[[int | None], None] | None = None,
    ) -> None:
        self._on_answer = on_answer
        self._max_bytes = common.max_answer_bytes
        self._gate = asyncio.Semaphore(common.max_concurrency)
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers={"accept": "application/json", "accept-encoding": "gzip", **(headers or {})},
            auth=httpx.BasicAuth(*auth) if auth else None,
            timeout=httpx.Timeout(common.read_timeout, connect=common.connect_timeout),
            limits=httpx.Limits(max_connections=common.max_concurrency, keepalive_expiry=30.0),
            follow_redirects=False,
            transport=transport,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        spent: Spent,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
    ) -> Answer:
        """One logical call; repeated up to twice on failures that pass, within the deadline in `spent`.

        Every attempt counts in `spent.calls`. Returns whatever status came last. Raises SourceTimeout,
        SourceUnavailable or SourceFailed where no answer came or it broke a bound."""
        remaining = spent.deadline - time.monotonic() - _SAFETY
        if remaining <= 0:
            raise SourceTimeout("the request's deadline passed before the provider was asked")
        last: _TryAgain | None = None

        def worth_repeating(error: Exception) -> bool | float:
            if not isinstance(error, _TryAgain):
                return False
            left = spent.deadline - time.monotonic() - _SAFETY
            if error.wait is not None:
                return error.wait if error.wait < left / 2 else False
            return left > 0.5

        try:
            async for attempt in stamina.retry_context(
                worth_repeating,
                attempts=_ATTEMPTS,
                timeout=None if remaining == float("inf") else remaining,
                wait_initial=0.1,
                wait_max=2.0,
                wait_jitter=0.2,
            ):
                with attempt:
                    return await self._attempt(method, path, spent, params, json)
        except _TryAgain as error:
            last = error
        assert last is not None  # the loop ends by return or by raising what it caught
        if last.answer is not None:
            return last.answer
        assert last.error is not None
        raise last.error

    async def _attempt(
        self, method: str, path: str, spent: Spent, params: Mapping[str, str] | None, json: Any
    ) -> Answer:
        async with self._gate:
            spent.calls += 1
            try:
                request = self._client.build_request(method, path.lstrip("/"), params=params, json=json)
                response = await self._client.send(request, stream=True)
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                translated = translate(error)
                if isinstance(translated, SourceFailed):
                    raise translated from None
                raise _TryAgain(None, None, translated) from None
        answer = Answer(response.status_code, body, response.headers, _http_date(response.headers.get("date", "")))
        if self._on_answer is not None:
            self._on_answer(answer.date)
        if answer.status in _RETRIED_STATUS:
            raise _TryAgain(answer.retry_after, answer, None)
        return answer

    async def _read(self, response: httpx.Response) -> bytes:
        """The body, decompressed, never more than the bound in memory: httpx's own decoder hands a gzip bomb over as
        one chunk, however large."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip"):
            raise SourceFailed(f"the provider answered in the content encoding {_word(encoding)}, not asked for")
        chunks = response.aiter_raw()
        return await (self._gunzip(chunks) if "gzip" in encoding else self._plain(chunks))

    async def _plain(self, chunks: AsyncIterator[bytes]) -> bytes:
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            if len(body) > self._max_bytes:
                raise self._too_large()
        return bytes(body)

    async def _gunzip(self, chunks: AsyncIterator[bytes]) -> bytes:
        inflater = zlib.decompressobj(wbits=31)
        body = bytearray()
        try:
            async for chunk in chunks:
                body += inflater.decompress(chunk, self._max_bytes + 1 - len(body))
                if len(body) > self._max_bytes or inflater.unconsumed_tail:
                    raise self._too_large()
        except zlib.error:
            raise SourceFailed("the provider's answer has a broken content encoding") from None
        if not inflater.eof:
            raise _TryAgain(None, None, SourceUnavailable("the provider broke off its answer"))
        return bytes(body)

    def _too_large(self) -> SourceFailed:
        return SourceFailed(f"the provider's answer is larger than {self._max_bytes} bytes")


def translate(error: Exception) -> SourceError:
    """The gateway's error for one of httpx's."""
    for kind, ours, detail in TRANSLATION:
        if isinstance(error, kind):
            return ours(detail)
    raise TypeError(f"no translation for {type(error).__name__}") from error


def error_for(answer: Answer, *, code: str | None = None, request_id: str | None = None) -> SourceError:
    """What an answer that is no success means. `code` is the vendor's own error code: a word, never a sentence, for a
    vendor's sentences may quote what we sent."""
    detail = f"the provider answered {answer.status}" + (f" ({_word(code)})" if code else "")
    if answer.status == 401:
        return SourceUnauthorized(
            f"{detail}: it refuses the credentials of this source", provider_request_id=request_id
        )
    if answer.status == 403:
        return SourceForbidden(detail, provider_request_id=request_id)
    if answer.status in (429, 503):
        return SourceUnavailable(detail, retry_after=answer.retry_after, provider_request_id=request_id)
    if answer.status == 504:
        return SourceTimeout(detail, provider_request_id=request_id)
    return SourceFailed(detail, provider_request_id=request_id)


def _word(text: str) -> str:
    """A vendor's word, fit for an error and a log: at most 64 plain characters."""
    return "".join(
        character for character in text[:64] if character.isascii() and (character.isalnum() or character in "_.-")
    )


def _http_date(text: str) -> int | None:
    try:
        return to_micros(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None
