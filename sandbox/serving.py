"""Serve an ASGI application on loopback from a thread of this process, and leave nothing behind.

    with serve(application) as base_url:      # "http://127.0.0.1:54321"
        httpx.get(base_url + "/path")

`--sandbox` serves the emulators this way, and so do the tests.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

_LOGGERS = ("uvicorn.error", "uvicorn.asgi", "uvicorn.access", "asyncio")
_numbers = count(1)


class _QuietThread(logging.Filter):
    """Drops what one server thread logs and nothing else: the gateway's own uvicorn uses the same loggers."""

    def __init__(self, thread_name: str) -> None:
        super().__init__()
        self._thread_name = thread_name

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != self._thread_name


class Served:
    """A server thread on 127.0.0.1. `start` returns when it accepts connections, `stop` when it is gone.

    `port` 0 takes a free one. No `Date` header is added: what the application sends is what arrives.
    Requests still running at `stop` get a second, then they are cancelled.
    """

    def __init__(self, app: ASGIApp, *, port: int = 0) -> None:
        self._app = app
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._quiet: _QuietThread | None = None
        self.base_url = ""

    def start(self) -> str:
        """Bind, start the thread, wait until it serves; returns the base URL without a trailing slash.

        Raises OSError where the port is taken, RuntimeError where the application does not come up in 30 s.
        """
        if self._thread is not None:
            raise RuntimeError("already started")
        # With the protocol named, asyncio switches Nagle's delay off for its connections: 40 ms a call.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._port))
        except OSError:
            listener.close()
            raise
        self.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        name = f"sandbox-server-{next(_numbers)}"
        self._hush(name)
        self._thread = threading.Thread(target=self._run, args=(listener,), name=name, daemon=True)
        self._thread.start()
        self._wait_until_up()
        return self.base_url

    def stop(self) -> None:
        """Stop serving and join the thread. Harmless when not running."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=15)
            if self._thread.is_alive():
                raise RuntimeError(f"the server at {self.base_url} does not stop")
        self._unhush()
        self._server = None
        self._thread = None

    def __enter__(self) -> "Served":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, listener: socket.socket) -> None:
        assert self._server is not None
        try:
            self._server.run(sockets=[listener])
        except SystemExit:
            pass  # uvicorn's way of saying that the application's start failed: `start` notices and raises
        finally:
            listener.close()

    def _wait_until_up(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        deadline = time.monotonic() + 30
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the application did not start")
            time.sleep(0.005)

    def _hush(self, thread_name: str) -> None:
        self._quiet = _QuietThread(thread_name)
        for logger in _LOGGERS:
            logging.getLogger(logger).addFilter(self._quiet)

    def _unhush(self) -> None:
        if self._quiet is not None:
            for logger in _LOGGERS:
                logging.getLogger(logger).removeFilter(self._quiet)
        self._quiet = None


@contextmanager
def serve(app: ASGIApp, *, port: int = 0) -> Iterator[str]:
    """Serve `app` while the block runs; gives its base URL (`http://127.0.0.1:PORT`)."""
    with Served(app, port=port) as served:
        yield served.base_url
