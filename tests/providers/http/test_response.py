"""A provider's response: its encoding, size, headers and status."""

import gzip
from typing import Any

import aiohttp
import httpx
import pytest

from app.domain.errors import (
    CallUnauthorized,
    SourceError,
    SourceFailed,
    SourceTimeout,
    SourceUnauthorized,
    SourceUnavailable,
    TemporaryFailure,
)
from app.providers.http.client import error_for
from app.providers.http.response import LONGEST_PAUSE, Response, http_date
from app.providers.http.transport import EXCEPTIONS, translate
from tests.providers.http.scripted import DATE, Provider, answering


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), (" 7 ", 7.0), (DATE.replace("00:00", "00:09"), 9.0), (DATE.replace("12:", "11:"), 0.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", LONGEST_PAUSE), ("9" * 500, LONGEST_PAUSE), ("86400", LONGEST_PAUSE),
        # A unix time, in seconds or milliseconds: 12:00:30 of that day, and the day before.
        ("1780315230", 30.0), ("1780315230000", 30.0), ("1780228800", 0.0),
        ("-1", None), ("1e9", None), ("٣", None), ("soon", None), ("", None),
    ],
)  # fmt: skip
def test_forms_of_retry_after(header: str, seconds: float | None) -> None:
    headers = httpx.Headers([(b"retry-after", header.encode())])
    assert Response(429, b"", headers, http_date(DATE)).retry_after == seconds


PACKED = gzip.compress(b"x" * 500, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body", "found"),
    [
        ("gzip", PACKED, b"x" * 500), ("x-gzip", PACKED, b"x" * 500), (None, PACKED, b"x" * 500),
        ("utf-8", b'[{"a": 1}]', b'[{"a": 1}]'), ("br", b" []", b" []"), ("gzip", b"{}", b"{}"), ("none", b"", b""),
        ("UTF-8", b"\xef\xbb\xbf[]", b"[]"), ("gzip, utf-8", PACKED, b"x" * 500),
        (None, b"\xef\xbb\xbfnull", b"null"), (None, b"\xef\xbb\xbf", b""),
        ("gzip", gzip.compress(b"\xef\xbb\xbfnull", mtime=0), b"null"),
        ("gzip", PACKED[:-6], SourceUnavailable), ("gzip", b"\x00no gzip", SourceFailed),
        ("gzip", PACKED + b"more", SourceFailed), ("gzip", PACKED + PACKED, SourceFailed),
        ("gzip, gzip", gzip.compress(PACKED, mtime=0), PACKED), ("gzip", b"\x1f\x8b[]", SourceFailed),
        ("br", b"\x8b\x02\x80", SourceFailed), ("br", b"\x0b\x00\x80[]\x03", SourceFailed),
        ("<script>", b"\x01", SourceFailed),
        (None, bytes(100_001), SourceFailed), ("gzip", gzip.compress(bytes(100_001), mtime=0), SourceFailed),
        ("gzip", gzip.compress(bytes(60_000_000), mtime=0), SourceFailed),
        (None, bytes(100_000), bytes(100_000)), ("gzip", gzip.compress(bytes(100_000), mtime=0), bytes(100_000)),
    ],
)  # fmt: skip
async def test_content_encodings_and_sizes(encoding: str | None, body: bytes, found: Any) -> None:
    headers = {} if encoding is None else {"content_encoding": encoding}
    provider = Provider(answering(200, body, **headers), max_answer_bytes=100_000)
    if isinstance(found, bytes):
        assert (await provider.call()).body == found
        return
    with pytest.raises(found) as error:
        await provider.call()
    assert "<" not in str(error.value)
    assert provider.request_count == (3 if found is SourceUnavailable else 1)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "Mon, 99 Jun 2026 12:00:00 GMT", "0", "Fri, 31 Dec 9999 23:59:59 -2300",
     "Fri, 01 Jan 9999 00:00:00 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"],
)  # fmt: skip
async def test_an_invalid_date_is_ignored(text: str) -> None:
    assert (await Provider(answering(200, date=text)).call()).date is None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [*((status, None, TemporaryFailure) for status in (301, 302, 303, 307, 308)),
     (400, "C", SourceFailed), (401, None, SourceUnauthorized),
     (401, "C", SourceUnauthorized), (403, "C", CallUnauthorized), (403, None, TemporaryFailure),
     (404, "C", SourceFailed),
     (418, "C", SourceFailed), (501, "C", SourceFailed),
     (500, "C", TemporaryFailure), (502, None, TemporaryFailure), (504, None, SourceTimeout),
     *((status, None, SourceUnavailable) for status in (408, 425, 429, 503, 520, 524, 529))],
)  # fmt: skip
def test_the_error_for_a_status(status: int, code: str | None, kind: type[Exception]) -> None:
    found = error_for(Response(status, b"", {"retry-after": "9"}, None), code=code, request_id="r-1")
    assert (type(found), found.provider_request_id) == (kind, "r-1")
    assert str(status) in found.detail
    assert ("(C)" in found.detail) == (code is not None)
    assert (found.retry_after == 9) == (kind is SourceUnavailable)


@pytest.mark.parametrize("status", [301, 302, 401, 403])
def test_the_error_for_a_response_that_is_not_the_apis_names_its_server(status: int) -> None:
    headers = {"content-type": "text/html; charset=utf-8", "server": "cloudflare"}
    found = error_for(Response(status, b"<html>who@example.com", headers, None))
    assert type(found) is TemporaryFailure
    assert f"{status} (text/html, server cloudflare)" in found.detail
    assert "base URL" in found.detail
    assert "credentials" not in found.detail
    assert "who" not in found.detail


def test_a_vendors_code_is_reduced_to_a_word() -> None:
    found = error_for(Response(400, b"", {}, None), code="a b\n<script>\x1b[31m" + "x" * 500)
    assert found.detail == f"the provider answered 400 (abscript31m{'x' * 47})"


def below(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(below(one) for one in kind.__subclasses__()))


KINDS = {httpx.InvalidURL, *below(httpx.HTTPError), *below(aiohttp.ClientError)}


@pytest.mark.parametrize("kind", sorted(KINDS, key=str), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_exception_of_the_transports_is_translated(kind: type[Exception]) -> None:
    assert len(KINDS) > 40
    error = kind.__new__(kind, "secret words of the transport")
    found = translate(error)
    assert isinstance(found, SourceError)
    assert "secret" not in found.detail
    if "Timeout" in kind.__name__:
        assert isinstance(found, SourceTimeout)
    last = EXCEPTIONS[-1][2]
    others = {"HTTPError", "RequestError", "TransportError", "HTTPStatusError", "TooManyRedirects", "ProtocolError",
              "LocalProtocolError", "ClientError", "RedirectClientError", "UploadAbortedError"}  # fmt: skip
    assert (found.detail == last) <= (kind.__name__ in others)


def test_other_exceptions_are_not_translated() -> None:
    with pytest.raises(TypeError):
        translate(KeyError())
