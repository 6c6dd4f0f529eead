"""A provider's answer: read within bounds, and what it means when it is no success."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from app.domain.errors import (
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
)
from app.domain.times import now_micros, to_micros
from app.providers.http.availability import LONGEST_PAUSE

_LATEST = to_micros(datetime(9999, 1, 1, tzinfo=UTC))  #: what is reckoned from a `Date` is a time, too


class Answer(msgspec.Struct, frozen=True):
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
        """Seconds to wait, at most an hour, from either form of `Retry-After` (RFC 9110, section 10.2.3)."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdigit():
            return min(float(text), LONGEST_PAUSE)
        moment = http_date(text)
        if moment is None:
            return None
        # By the provider's own clock, where it shows it: it may differ from ours by more than the wait.
        now = self.date if self.date is not None else now_micros()
        return min(max(0.0, (moment - now) / 1e6), LONGEST_PAUSE)


class TruncatedResponse(Exception):
    """The answer ended before it was whole."""


async def read_body(response: httpx.Response, most: int) -> bytes:
    """The body, decompressed, never more than `most` bytes in memory: httpx's own decoder hands a gzip bomb over as
    one chunk, however large. Raises SourceFailed, BrokenOff, and httpx's errors."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise SourceFailed(f"the provider answered in the content encoding {word(encoding)}, not asked for")
    chunks = response.aiter_raw()
    return await (_gunzip(response, chunks, most) if "gzip" in encoding else _plain(chunks, most))


async def _plain(chunks: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


async def _gunzip(response: httpx.Response, chunks: AsyncIterator[bytes], most: int) -> bytes:
    inflater = zlib.decompressobj(wbits=31)
    body = bytearray()
    try:
        async for chunk in chunks:
            body += inflater.decompress(chunk, most + 1 - len(body))
            if len(body) > most or inflater.unconsumed_tail:
                raise _too_large(most)
            if inflater.unused_data:
                # A second member would be left out of the answer, and what follows the end be kept without bound.
                raise SourceFailed("the provider's answer has a broken content encoding")
    except zlib.error:
        raise SourceFailed("the provider's answer has a broken content encoding") from None
    if not inflater.eof and response.num_bytes_downloaded:
        raise TruncatedResponse
    return bytes(body)


def _too_large(most: int) -> SourceFailed:
    return SourceFailed(f"the provider's answer is larger than {most} bytes")


def error_for(answer: Answer, *, code: str | None = None, request_id: str | None = None) -> SourceError:
    """What an answer that is no success means. `code` is the vendor's own error code: a word, never a sentence, for a
    vendor's sentences may quote what we sent."""
    detail = f"the provider answered {answer.status}" + (f" ({word(code)})" if code else "")
    if answer.status in (401, 403):
        # A 403 may come from anything on the way, too. That it is about one part of an account is for the adapter to
        # say, by the vendor's code.
        return SourceUnauthorized(
            f"{detail}: it refuses the credentials of this source", provider_request_id=request_id
        )
    if answer.status in (429, 503):
        return SourceUnavailable(detail, retry_after=answer.retry_after, provider_request_id=request_id)
    if answer.status == 504:
        return SourceTimeout(detail, provider_request_id=request_id)
    return SourceFailed(detail, provider_request_id=request_id)


def word(text: str) -> str:
    """A vendor's word, fit for an error and a log: at most 64 plain characters."""
    return "".join(
        character for character in text[:64] if character.isascii() and (character.isalnum() or character in "_.-")
    )


def http_date(text: str) -> int | None:
    """µs of an HTTP date (RFC 9110, section 5.6.7); None for what is none."""
    try:
        return to_micros(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


def now_of(headers: httpx.Headers) -> int | None:
    """A provider's own now, in µs; None where it sent none, or one outside the years 1970 to 9998."""
    found = http_date(headers.get("date", ""))
    return found if found is not None and 0 <= found < _LATEST else None
