"""An answer that is made while it is sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class ClosingStream(StreamingResponse):
    """Starlette's own, without its second task: `app.api.admission` already stops the work for a caller who hung up.
    Its generator is closed, and with it what that has under way, and `held` is given back, however the answer ends."""

    def __init__(
        self, body: AsyncGenerator[bytes], *, media_type: str, headers: Mapping[str, str], held: ExitStack
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._body, self._held = body, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            async with aclosing(self._body):
                await self.stream_response(send)
