"""Streamed responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, aclosing

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send


class ClosingStream(StreamingResponse):
    """Starlette's response without its second task: `app.api.admission` stops the work when the client disconnects.

    At any end of the response, its generator is closed with its calls, and `held` is released."""

    def __init__(
        self, body: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str], held: ExitStack
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body, self._held = body, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            async with aclosing(self._body):
                await self.stream_response(send)


class PartedResponse(Response):
    """A body in parts without copies; a large page in one piece would be in memory three times."""

    def __init__(self, parts: Sequence[bytes], *, media_type: str, headers: Mapping[str, str]) -> None:
        self._parts = parts
        length = {"Content-Length": str(sum(map(len, parts)))}
        super().__init__(media_type=media_type, headers={**headers, **length})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for left, part in zip(reversed(range(len(self._parts))), self._parts, strict=True):
            await send({"type": "http.response.body", "body": part, "more_body": left > 0})
