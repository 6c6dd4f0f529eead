"""Serve an ASGI application on loopback from a thread of this process.

    with serve(application) as base_url:      # "http://127.0.0.1:54321"
        httpx.get(base_url + "/path")

`--sandbox` serves the emulators this way, and so do the tests.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import uvicorn
from starlette.types import ASGIApp

_LOGGERS = ("uvicorn.error", "uvicorn.asgi", "uvicorn.access", "asyncio")
_START, _STOP = 30.0, 15.0  #: seconds
_numbers = count(1)


@contextmanager
def serve(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serve `app` while the block runs; yields its base URL, without a trailing slash.

    `port` 0 selects a free one. The server adds no `Date` header. At the end, running requests have one second before
    they are cancelled. Raises OSError if the port is in use, RuntimeError if the application does not start in 30 s.
    """
    # With an explicit protocol, asyncio disables Nagle's delay: 40 ms a call.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)

        def run() -> None:
            with suppress(SystemExit):  # uvicorn raises it if the application's start fails
                server.run(sockets=[listener])

        thread = threading.Thread(target=run, name=f"sandbox-server-{next(_numbers)}", daemon=True)
        with _quiet(thread.name):
            thread.start()
            try:
                _wait_until_up(server, thread)
                yield base_url
            finally:
                server.should_exit = True
                thread.join(timeout=_STOP)
                if thread.is_alive():
                    raise RuntimeError(f"the server at {base_url} does not stop")


def _wait_until_up(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _START
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the application did not start")
        time.sleep(0.005)


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
