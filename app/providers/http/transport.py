"""httpx's transport, over aiohttp's connections.

httpx's own searches all of its connections on each call: a call costs twice the processor time of this one, and four
times with 32 in flight (docs/performance.md). `httpx-aiohttp` does the same as this module, but calls a refused and a
broken connection a timeout (`httpx_aiohttp.transport.AIOHTTP_EXC_MAP`, 0.1.12), and leaves the environment's proxies
unused.
"""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import aiohttp
import httpx
from yarl import URL

_CHUNK = 64 * 1024  #: bytes

#: aiohttp's exceptions, most special first, and httpx's for the same. A test holds it complete.
EXCEPTIONS: Sequence[tuple[type[Exception], type[httpx.TransportError]]] = (
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientError, httpx.NetworkError),
)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """`most`: connections at a time; `keepalive`: seconds for which one that is idle is kept, which must be fewer than
    the calls' read timeout: aiohttp 3.14.5 leaves the timer of an answer running that came faster than it was read
    (`ResponseHandler.resume_reading`), and the connection's next call would end by it. Proxies are those of the
    environment, certificates those of httpx."""

    def __init__(self, *, most: int, keepalive: float) -> None:
        self._most, self._keepalive = most, keepalive
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises httpx.TransportError. The response's body is still to be read, as sent: encoded as it came."""
        with _translated():
            response = await self._send(request)
        return httpx.Response(
            response.status, headers=list(response.raw_headers), stream=_Body(response), request=request
        )

    async def _send(self, request: httpx.Request) -> aiohttp.ClientResponse:
        session = self._session or self._open(request.url.scheme)
        limits: dict[str, float | None] = request.extensions.get("timeout", {})
        while True:
            connection = _Connection()
            try:
                return await session.request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    headers=request.headers,
                    data=request.content or None,
                    allow_redirects=False,
                    proxy=self._proxy_for(request.url),
                    timeout=aiohttp.ClientTimeout(
                        connect=limits.get("pool"), sock_connect=limits.get("connect"), sock_read=limits.get("read")
                    ),
                    trace_request_ctx=connection,
                )
            except aiohttp.ClientConnectionError as error:
                # The server closed a kept connection just as we took it: no failure of its, but the way of keep-alive
                # (RFC 9112, section 9.3.1), and all our calls are reads. Each such connection is gone then.
                if connection.is_new or isinstance(error, TimeoutError):
                    raise

    def _open(self, scheme: str) -> aiohttp.ClientSession:
        # Made at the first call, for aiohttp wants the event loop to run. httpx's certificates take a while to load.
        connector = aiohttp.TCPConnector(
            limit=self._most,
            keepalive_timeout=self._keepalive,
            ssl=httpx.create_ssl_context() if scheme == "https" else True,
        )
        self._session = session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trace_configs=[_noting_new_connections()],
        )
        # aiohttp would send a GET again by itself, and nothing else, also where the connection was new: that is for
        # `app.providers.http.client`, which counts. There is no public switch; a test notices if this one goes.
        session._retry_connection = False
        return session

    def _proxy_for(self, url: httpx.URL) -> str | None:
        # aiohttp's `trust_env` would look it up on each call, in a thread.
        place = (url.scheme, url.netloc.decode("ascii"))
        if place not in self._proxies:
            proxies = urllib.request.getproxies()
            found = proxies.get(url.scheme) or proxies.get("all")
            self._proxies[place] = None if urllib.request.proxy_bypass(place[1]) else found
        return self._proxies[place]

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Connection:
    """That a request goes by. `is_new`: it was made for it, or tried to be."""

    is_new = False


def _noting_new_connections() -> aiohttp.TraceConfig:
    async def note(_session: aiohttp.ClientSession, context: SimpleNamespace, _: object) -> None:
        context.trace_request_ctx.is_new = True

    config = aiohttp.TraceConfig()
    config.on_connection_create_start.append(note)
    return config


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for chunk in self._response.content.iter_chunked(_CHUNK):
                yield chunk

    async def aclose(self) -> None:
        # A connection whose answer was read to its end is kept; any other is closed.
        self._response.close() if not self._response.content.at_eof() else self._response.release()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        for kind, theirs in EXCEPTIONS:
            if isinstance(error, kind):
                raise theirs(type(error).__name__) from error
        raise
