"""A provider's response: bounded decoding of the body, times, and errors of failing statuses."""

from __future__ import annotations

import asyncio
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import msgspec

from app.domain.errors import (
    CallUnauthorized,
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
    TemporaryFailure,
)
from app.domain.times import now_micros, to_micros

LONGEST_PAUSE = 3600.0  #: seconds; a provider with longer pauses is called once an hour
LARGE = 2 * 1024 * 1024  #: bytes above which bodies are read in turn
LARGE_AT_ONCE = 2  #: such bodies at once, by source
MAX_HEADERS = 64 * 1024  #: bytes of all response headers

_LATEST = to_micros(datetime(9999, 1, 1, tzinfo=UTC))  #: sums with a `Date` must be representable, too
_UNIX_TIME = 10**9  #: seconds; a `Retry-After` of 30 years or more is a point in time, not a duration
_GZIP = b"\x1f\x8b"


class Response(msgspec.Struct, frozen=True):
    """A whole response. `headers`: names in any letter case. `date`: the provider's clock in µs; None without a
    valid `Date`."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    date: int | None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, at most LONGEST_PAUSE, from either form of `Retry-After` (RFC 9110, section 10.2.3), and
        from a unix time in seconds or milliseconds, which some servers send."""
        text = self.headers.get("retry-after", "").strip()
        # By the provider's clock, if sent, which may differ from this machine's by more than the wait.
        now = self.date if self.date is not None else now_micros()
        if text.isascii() and text.isdigit():
            seconds = float(text[:20])
            if seconds >= _UNIX_TIME:
                seconds = seconds / (1000 if seconds >= 1000 * _UNIX_TIME else 1) - now / 1e6
        else:
            moment = http_date(text)
            if moment is None:
                return None
            seconds = (moment - now) / 1e6
        return min(max(0.0, seconds), LONGEST_PAUSE)


class TruncatedResponse(Exception):
    """The response ended before it was complete."""


class ResponseTooLarge(SourceFailed):
    """The response exceeds the bound; one with fewer records may not."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the provider's response is larger than {most} bytes")
        self.most = most


async def read_bounded(chunks: AsyncIterator[bytes], most: int, turn: asyncio.Semaphore | None = None) -> bytes:
    """Return the raw body. Above LARGE bytes it waits for `turn`, which bounds the memory of concurrent calls. Raises
    ResponseTooLarge above `most` bytes."""
    parts, size, held = list[bytes](), 0, False
    try:
        async for chunk in chunks:
            if turn is not None and size < LARGE <= size + len(chunk):
                held = await turn.acquire()
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                raise ResponseTooLarge(most)
        return b"".join(parts)
    finally:
        if turn is not None and held:
            turn.release()


def decode_body(headers: Mapping[str, str], raw: bytes, most: int) -> bytes:
    """Return the body without its content encoding and byte order mark, at most `most` bytes.

    The first bytes decide, not the header: proxies and frameworks send `Content-Encoding: utf-8` with plain text, or
    omit `gzip`. Raises SourceFailed, and TruncatedResponse for gzip without its end."""
    if raw.startswith(_GZIP):
        return _gunzip(raw, most).removeprefix(BOM_UTF8)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "") and not _is_plain(raw):
        what = f"has the content encoding {word(encoding)}, which the gateway did not ask for and cannot read"
        raise SourceFailed(f"the provider's response {what}: look for a proxy on the way that compresses")
    return raw.removeprefix(BOM_UTF8)


def _is_plain(raw: bytes) -> bool:
    """Whether a body starts like JSON or HTML."""
    start = raw[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    return not start or start[:1] in b'{["-0123456789ntf<'


def _gunzip(raw: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    try:
        body = inflater.decompress(raw, most + 1)
    except zlib.error:
        raise TemporaryFailure("the provider's response has a broken content encoding") from None
    if len(body) > most or inflater.unconsumed_tail:
        raise ResponseTooLarge(most)
    if inflater.unused_data:  # a second gzip member would be lost
        raise TemporaryFailure("the provider's response has a broken content encoding")
    if not inflater.eof:
        raise TruncatedResponse
    return body


def error_for(response: Response, *, code: str | None = None, request_id: str | None = None) -> SourceError:
    """Return the error for a response whose status is not a success. `code` is the vendor's error code: a word,
    never a sentence, which may quote the request."""
    status = response.status
    detail = f"the provider answered {status}" + (f" ({word(code)})" if code else "")
    is_html = "html" in response.headers.get("content-type", "") or response.body[:64].lstrip()[:1] == b"<"
    if status in (408, 425, 429, 503, 529) or 520 <= status <= 524:
        return SourceUnavailable(detail, retry_after=response.retry_after, provider_request_id=request_id)
    if code is None and (300 <= status < 400 or status == 403 or (status < 500 and is_html)):
        return TemporaryFailure(_not_the_api(response), provider_request_id=request_id)
    if status in (401, 403):
        # The adapter detects a 403 for one part of an account by the vendor's code.
        refusal = f"{detail}: it refuses the credentials of this source"
        kind = SourceUnauthorized if status == 401 else CallUnauthorized
        return kind(refusal, provider_request_id=request_id)
    if status == 504:
        return SourceTimeout(detail, provider_request_id=request_id)
    failure = TemporaryFailure if status >= 500 and status != 501 else SourceFailed
    return failure(detail, provider_request_id=request_id)


def _not_the_api(response: Response) -> str:
    """Return a sentence for a response that is not from the provider's API."""
    media_type = "/".join(map(word, response.headers.get("content-type", "").partition(";")[0].split("/")))
    server = word(response.headers.get("server", ""))
    seen = ", ".join(part for part in (media_type, f"server {server}" if server else "") if part)
    answered = f"the base URL answered {response.status}" + (f" ({seen})" if seen else "")
    if response.status < 400:
        return (
            f"{answered}, a redirect, which is not the provider's API: set the base URL to the API's own address"
            " (scheme, host and path), and look for a login page or proxy on the way"
        )
    return (
        f"{answered} without one of the provider's error codes: a firewall, a proxy or a wrong address, not the"
        " provider's API; check the base URL, HTTPS_PROXY and NO_PROXY, and whether this machine's address is allowed"
    )


def word(text: str) -> str:
    """Return a vendor's word, fit for an error and a log: at most 64 plain characters."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", text[:64])


@lru_cache(maxsize=16)  # a server's `Date` changes once a second
def http_date(text: str) -> int | None:
    """Return µs of an HTTP date (RFC 9110, section 5.6.7); None for anything else."""
    try:
        return to_micros(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


def now_of(headers: Mapping[str, str]) -> int | None:
    """Return the provider's clock, in µs; None if not sent or outside the years 1970 to 9998."""
    found = http_date(headers.get("date", ""))
    return found if found is not None and 0 <= found < _LATEST else None
