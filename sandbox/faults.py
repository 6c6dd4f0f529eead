"""Things that go wrong at a provider, to be ordered while its emulator runs."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to go wrong. `path`: only for paths that end so; `seconds`: how long a `hang` lasts."""

    kind: Literal["status", "hang", "cut"]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: bytes = b""
    path: str = ""


class Faults:
    """A queue of faults; each meets one request, in order of arrival. May be filled while the server runs."""

    def __init__(self) -> None:
        self._queue: deque[Fault] = deque()
        self._lock = threading.Lock()

    def answer(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        body: bytes = b"",
        path: str = "",
    ) -> None:
        """Answer with a status (429, 503, ...) and headers (`Retry-After`) instead of handling the call."""
        self._add(Fault("status", status, headers or {}, body=body, path=path), times)

    def hang(self, seconds: float, times: int = 1, path: str = "") -> None:
        """Wait, then answer as usual."""
        self._add(Fault("hang", seconds=seconds, path=path), times)

    def cut(self, times: int = 1, path: str = "") -> None:
        """Promise the whole body, send half, close the connection (only where served over a socket)."""
        self._add(Fault("cut", path=path), times)

    def html(self, status: int = 200, times: int = 1, path: str = "") -> None:
        """Answer with a web page, as a proxy or a login wall does."""
        page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
        headers = {"content-type": "text/html; charset=utf-8"}
        self.answer(status, headers, times, page, path)

    def malformed(self, times: int = 1, path: str = "") -> None:
        """Answer 200 `application/json` with a text that is no JSON."""
        self.answer(200, {"content-type": "application/json"}, times, b'[{"never": "closed', path)

    def _add(self, fault: Fault, times: int) -> None:
        with self._lock:
            self._queue.extend([fault] * times)

    def clear(self) -> None:
        """Let nothing more go wrong."""
        with self._lock:
            self._queue.clear()

    def take(self, path: str) -> Fault | None:
        """The fault that a request for `path` meets, if any."""
        with self._lock:
            for position, fault in enumerate(self._queue):
                if path.endswith(fault.path):
                    del self._queue[position]
                    return fault
        return None
