"""Transport of requests: aiohttp's connections behind a small interface, and one table of errors.

httpx's own transport searches all of its connections on each call and costs twice the processor time, four times with
32 calls in flight (docs/performance.md).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import chain
from typing import Any, Protocol

import aiohttp
import httpx
from aiohttp.http_exceptions import LineTooLong
from yarl import URL

from app.domain.errors import SourceError, SourceFailed, SourceTimeout, SourceUnavailable
from app.providers.base import CommonSettings
from app.providers.http.response import (
    LARGE_AT_ONCE,
    MAX_HEADERS,
    Response,
    TruncatedResponse,
    decode_body,
    now_of,
    read_bounded,
)

_TOO_MANY_HEADERS = "the provider's response headers are larger than 64 kB: look for a proxy that adds cookies"

#: Exceptions of aiohttp, httpx and the standard library, most specific first, and their errors. A test checks that it
#: is complete.
EXCEPTIONS: Sequence[tuple[tuple[type[BaseException], ...], type[SourceError], str]] = (
    ((aiohttp.ClientProxyConnectionError,), SourceUnavailable,
     "the proxy towards the provider cannot be reached: check HTTPS_PROXY and HTTP_PROXY, or exempt the provider's host"
     " in NO_PROXY"),
    ((aiohttp.ClientHttpProxyError, httpx.ProxyError), SourceUnavailable,
     "the proxy towards the provider refused the connection: check its credentials in HTTPS_PROXY, and its rules"),
    ((socket.gaierror, aiohttp.ClientConnectorDNSError), SourceUnavailable,
     "the provider's host name is unknown: check the base URL, and this machine's name server"),
    ((ConnectionRefusedError,), SourceUnavailable,
     "the provider's address refuses connections at this port: check the base URL, and whether its server runs"),
    ((ssl.SSLCertVerificationError, ssl.CertificateError), SourceUnavailable,
     "the provider's certificate is not trusted: name the file of its certificate authority (PEM) in SSL_CERT_FILE"),
    ((ssl.SSLError, aiohttp.ClientConnectorSSLError), SourceUnavailable,
     "the provider's address and the gateway find no common TLS: check http or https, and the port, in the base URL"),
    ((aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout), SourceTimeout,
     "the provider did not accept a connection in time: check the base URL, and firewalls on the way"),
    ((httpx.PoolTimeout,), SourceTimeout, "too many calls to the provider are under way"),
    ((aiohttp.ServerTimeoutError, httpx.TimeoutException), SourceTimeout, "the provider did not answer in time"),
    ((aiohttp.ClientConnectorError, httpx.ConnectError), SourceUnavailable,
     "the provider cannot be reached: check the base URL, and this machine's network"),
    ((LineTooLong,), SourceFailed, _TOO_MANY_HEADERS),
    ((aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError,
      httpx.RemoteProtocolError, TruncatedResponse), SourceUnavailable, "the provider broke off its response"),
    ((aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, httpx.InvalidURL, httpx.UnsupportedProtocol), SourceFailed,
     "the base URL is not valid"),
    ((httpx.DecodingError,), SourceFailed, "the provider's response has a broken content encoding"),
    ((aiohttp.ClientConnectionError, httpx.NetworkError, OSError), SourceUnavailable,
     "the connection to the provider broke"),
    ((aiohttp.ClientError, httpx.HTTPError), SourceFailed, "the call to the provider failed"),
)  # fmt: skip

#: Exceptions to catch from a transport.
TRANSPORT_ERRORS = (aiohttp.ClientError, httpx.HTTPError, httpx.InvalidURL, TruncatedResponse, OSError, ssl.SSLError)

#: OpenSSL's verify codes (openssl-verify(1)) with a sentence of their own.
_CERTIFICATE = {
    9: "the provider's certificate is not valid yet: check this machine's clock",
    10: "the provider's certificate has expired: its operator must renew it; check this machine's clock",
    62: "the provider's certificate is for another host name: set the base URL to a name that the certificate holds",
    64: "the provider's certificate is for another host name: set the base URL to a name that the certificate holds",
}


def translate(error: BaseException) -> SourceError:
    """Return the gateway's error for a transport's, by the first row of EXCEPTIONS that matches the error or one of its
    causes. Raises TypeError for any other error."""
    causes = list(_causes(error))
    verify_code = next((code for cause in causes if (code := getattr(cause, "verify_code", 0))), 0)
    for kinds, ours, detail in EXCEPTIONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return ours(_CERTIFICATE.get(verify_code, detail))
    raise TypeError(f"no translation for {type(error).__name__}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while isinstance(error, BaseException):
        yield error
        if isinstance(error, BaseExceptionGroup):  # of attempts to connect, one for each address
            error = error.exceptions[0]
        else:
            own = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error.__cause__
            # httpcore breaks the chain, with the original error as its argument.
            error = own or next((held for held in error.args if isinstance(held, BaseException)), None)


class Transport(Protocol):
    """Interface for sending a request, for vendors with their own transport."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Response:
        """Return the whole response, without following redirects. `url` is encoded. Raises SourceUnavailable and
        SourceTimeout for temporary failures, SourceFailed for permanent ones."""

    async def aclose(self) -> None: ...


#: Whether the current request opened a connection.
_opened: ContextVar[list[bool] | None] = ContextVar("opened", default=None)


class AiohttpTransport:
    """`Transport` with the network, the timeouts and the bounds of `common`."""

    def __init__(self, common: CommonSettings) -> None:
        self._network, self._connections, self._most = common.network, common.max_concurrency, common.max_answer_bytes
        self._timeout = aiohttp.ClientTimeout(sock_connect=common.connect_timeout, sock_read=common.read_timeout)
        # Fewer than the read timeout: aiohttp 3.14.5 leaves the timer of a response running that came faster than it
        # was read (`ResponseHandler.resume_reading`), and the next call on the connection would end by it.
        self._keepalive = min(30.0, common.read_timeout / 2)
        self._session: aiohttp.ClientSession | None = None
        self._turn = asyncio.Semaphore(LARGE_AT_ONCE)
        self._proxies: dict[str, str | None] = {}

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Response:
        try:
            response = await self._send(method, URL(url, encoded=True), headers, content)
            try:
                raw = await read_bounded(response.content.iter_any(), self._most, self._turn)
            finally:
                # Only a connection with a completely read response is reused.
                response.release() if response.content.at_eof() else response.close()
            if sum(map(len, chain.from_iterable(response.raw_headers))) > MAX_HEADERS:
                raise SourceFailed(_TOO_MANY_HEADERS)
            body = decode_body(response.headers, raw, self._most)
        except TRANSPORT_ERRORS as error:
            raise translate(error) from None
        return Response(response.status, body, response.headers, now_of(response.headers))

    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], content: bytes | None
    ) -> aiohttp.ClientResponse:
        session = self._session or self._open()
        origin = f"{url.scheme}://{url.authority}"
        if origin not in self._proxies:
            self._proxies[origin] = self._network.proxy_for(origin)
        opened: list[bool] = []
        _opened.set(opened)
        while True:
            try:
                return await session.request(
                    method,
                    url,
                    headers=headers,
                    data=content,
                    allow_redirects=False,
                    proxy=self._proxies[origin],
                    timeout=self._timeout,
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # The server closed an idle connection just as it was reused: normal for keep-alive (RFC 9112, section
                # 9.3.1), and all calls only read. Each such connection is then closed, so that this ends.
                if opened or isinstance(error, (aiohttp.ClientConnectorError, TimeoutError)):
                    raise

    def _open(self) -> aiohttp.ClientSession:
        # At the first call: aiohttp needs the running event loop, and the certificates take a while to load.
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            keepalive_timeout=self._keepalive,
            ssl=self._network.ssl_context(),
            socket_factory=_make_socket,
        )
        self._session = session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MAX_HEADERS,
            max_field_size=MAX_HEADERS,
            max_headers=1000,
        )
        # aiohttp would repeat a GET by itself, and nothing else, also on a new connection, uncounted. There is no
        # public switch; a test fails if this one goes.
        session._retry_connection = False
        return session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


def _make_socket(address: Any) -> socket.socket:
    if (opened := _opened.get()) is not None:
        opened.append(True)
    family, kind, protocol, *_ = address
    return socket.socket(family, kind, protocol)
