"""Serve an ASGI application on loopback from a thread of this process.

    with serve(application) as base_url:      # "http://127.0.0.1:54321"
        httpx.get(base_url + "/path")

`--sandbox` serves the emulators this way, and so do the tests.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import uvicorn
from starlette.types import ASGIApp

_LOGGERS = ("uvicorn.error", "uvicorn.asgi", "uvicorn.access", "asyncio")
_START, _STOP = 30.0, 15.0  #: seconds
_numbers = count(1)


class _Server(uvicorn.Server):
    """Stops immediately: uvicorn checks ten times a second whether to stop, and then waits for another tenth. The tests
    start hundreds of servers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.is_up.set()
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for _ in range(5):
            await asyncio.sleep(0)  # connections that are being accepted get their protocols
        for server in self.servers:
            server.close()
        for connection in self.server_state.connections:
            connection.transport.abort()
        if tasks := list(self.server_state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self.lifespan.shutdown()
        await asyncio.sleep(0)  # the connections end

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end.set)


@contextmanager
def serve(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serve `app` while the block runs; yields its base URL, without a trailing slash.

    `port` 0 selects a free one. The server adds no `Date` header. At the end, running requests are cancelled. Raises
    OSError if the port is in use, RuntimeError if the application does not start in 30 s.
    """
    # With an explicit protocol, asyncio disables Nagle's delay: 40 ms a call.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
        )
        server = _Server(config)

        def run() -> None:
            with suppress(SystemExit):  # uvicorn raises it if the application's start fails
                server.run(sockets=[listener])
            server.is_up.set()

        thread = threading.Thread(target=run, name=f"sandbox-server-{next(_numbers)}", daemon=True)
        with _quiet(thread.name):
            thread.start()
            try:
                if not server.is_up.wait(_START) or not server.started:
                    raise RuntimeError("the application did not start")
                yield base_url
            finally:
                server.stop()
                thread.join(timeout=_STOP)
                if thread.is_alive():
                    raise RuntimeError(f"the server at {base_url} does not stop")


@contextmanager
def _quiet(thread_name: str) -> Iterator[None]:
    """Drop the log lines of one server thread; the gateway's own uvicorn uses the same loggers."""

    def is_other(record: logging.LogRecord) -> bool:
        return record.threadName != thread_name

    for logger in _LOGGERS:
        logging.getLogger(logger).addFilter(is_other)
    try:
        yield
    finally:
        for logger in _LOGGERS:
            logging.getLogger(logger).removeFilter(is_other)
