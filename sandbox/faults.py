"""Faults of a provider, injected while its emulator runs."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `path`: suffix of the paths that it applies to; `seconds`: duration of a `hang`."""

    kind: Literal["status", "hang", "cut"]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: bytes = b""
    path: str = ""


class Faults:
    """Queue of faults, each for one request, in order of arrival. May be filled while the server runs."""

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
        """Return a status (429, 503, ...) and headers (`Retry-After`) instead of handling the call."""
        self._add(Fault("status", status, headers or {}, body=body, path=path), times)

    def hang(self, seconds: float, times: int = 1, path: str = "") -> None:
        """Wait, then respond as usual."""
        self._add(Fault("hang", seconds=seconds, path=path), times)

    def cut(self, times: int = 1, path: str = "") -> None:
        """Send the headers and half of the body, then close the connection (only if served over a socket)."""
        self._add(Fault("cut", path=path), times)

    def html(self, status: int = 200, times: int = 1, path: str = "") -> None:
        """Return a web page, like a proxy or a login wall."""
        page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
        headers = {"content-type": "text/html; charset=utf-8"}
        self.answer(status, headers, times, page, path)

    def malformed(self, times: int = 1, path: str = "") -> None:
        """Return 200 `application/json` with a body that is not JSON."""
        self.answer(200, {"content-type": "application/json"}, times, b'[{"never": "closed', path)

    def _add(self, fault: Fault, times: int) -> None:
        with self._lock:
            self._queue.extend([fault] * times)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()

    def take(self, path: str) -> Fault | None:
        """Remove and return the fault for a request for `path`, if any."""
        with self._lock:
            for position, fault in enumerate(self._queue):
                if path.endswith(fault.path):
                    del self._queue[position]
                    return fault
        return None
