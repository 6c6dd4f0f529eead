"""The application behind a real socket, as `audit-gateway serve` has it, in a thread of this process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI


@contextmanager
def served(app: FastAPI, send_buffer: int = 0, **more: Any) -> Iterator[int]:
    """The port on 127.0.0.1; everything has stopped when the block ends."""
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


def talk(port: int, *parts: bytes) -> socket.socket:
    """A connection on which `parts` were sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    try:
        for part in parts:
            connection.sendall(part)
    except OSError:
        connection.close()
        raise
    return connection


def rest(connection: socket.socket) -> bytes:
    """All that the server still sends until it closes."""
    answer = b""
    with connection:
        while True:
            try:
                more = connection.recv(65_536)
            except ConnectionResetError:
                return answer
            if not more:
                return answer
            answer += more
