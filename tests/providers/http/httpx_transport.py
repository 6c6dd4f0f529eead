"""Adapts an httpx transport, such as httpx.MockTransport and httpx.ASGITransport, to `Transport`."""

from collections.abc import Mapping

import httpx

from app.providers.base import CommonSettings
from app.providers.http.response import Response, decode_body, now_of, read_bounded
from app.providers.http.transport import TRANSPORT_ERRORS, translate


class HttpxTransport:
    """Implements `app.providers.http.transport.Transport`, with the time and size limits of `common`."""

    def __init__(self, inner: httpx.AsyncBaseTransport, common: CommonSettings) -> None:
        self._inner, self._most = inner, common.max_answer_bytes
        timeout = httpx.Timeout(common.read_timeout, connect=common.connect_timeout)
        self._extensions = {"timeout": timeout.as_dict()}

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Response:
        try:
            request = httpx.Request(method, url, headers=headers, content=content, extensions=self._extensions)
            response = await self._inner.handle_async_request(request)
            try:
                raw = await read_bounded(response.aiter_raw(), self._most)
            finally:
                await response.aclose()
            body = decode_body(response.headers, raw, self._most)
        except TRANSPORT_ERRORS as error:
            raise translate(error) from None
        return Response(response.status_code, body, response.headers, now_of(response.headers))

    async def aclose(self) -> None:
        await self._inner.aclose()
