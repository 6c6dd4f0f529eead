"""The application behind a real socket, in a thread of this process, and clients of it."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from tests.api.conftest import bearer


@contextmanager
def served(app: FastAPI, send_buffer: int = 0, **more: Any) -> Iterator[int]:
    """Yield the port on 127.0.0.1 and stop the server when the block ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=5, **more)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def served_client(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve the application; yield a client whose key has all scopes."""
    with (
        served(app) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=bearer(), timeout=60) as client,
    ):
        yield client


def http_scope(path: str, query: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    """Return the ASGI scope of a GET request."""
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query,
        "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 4321), "headers": [(b"host", b"127.0.0.1"), *headers],
    }  # fmt: skip


def send_raw(port: int, *parts: bytes) -> socket.socket:
    """Open a connection and send `parts`."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    try:
        for part in parts:
            connection.sendall(part)
    except OSError:
        connection.close()
        raise
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything that the server sends until it closes the connection."""
    received = b""
    with connection:
        while True:
            try:
                more = connection.recv(65_536)
            except ConnectionResetError:
                return received
            if not more:
                return received
            received += more
