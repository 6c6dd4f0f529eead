"""A pass-through on the gateway's stack: the same server, framework and HTTP client, and nothing done with the bytes.

What the gateway adds to this is its own work. `python -m benchmarks.passthrough UPSTREAM` prints its URL.
"""

from __future__ import annotations

import sys
from base64 import b64encode

import uvicorn
from fastapi import FastAPI, Request, Response

from app.providers.base import CommonSettings
from app.providers.http.transport import AiohttpTransport


def make_app(upstream: str) -> FastAPI:
    # The connections of the gateway, without what ProviderHttp does around its calls.
    transport = AiohttpTransport(CommonSettings())
    headers = {"authorization": "Basic " + b64encode(b"company:key").decode(), "accept-encoding": "gzip"}
    app = FastAPI()

    @app.get("/{path:path}")
    async def forward(path: str, request: Request) -> Response:
        answer = await transport.send("GET", f"{upstream.rstrip('/')}/{path}?{request.url.query}", headers, None)
        return Response(answer.body, media_type="application/json")

    return app


class _Server(uvicorn.Server):
    async def startup(self, sockets: object = None) -> None:
        await super().startup()
        print(f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}", flush=True)


if __name__ == "__main__":
    config = uvicorn.Config(
        make_app(sys.argv[1]),
        host="127.0.0.1",
        port=0,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    _Server(config).run()
