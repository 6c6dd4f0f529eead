"""Work on another thread that callers wait for only briefly."""

from __future__ import annotations

import threading
from collections.abc import Callable


class BackgroundCall:
    """Runs `work` on a daemon thread, one call at a time. While a call hangs, later ones return at once, so that a
    hung file system cannot stop the event loop (`tests/api/test_keys_file.py`)."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._wanted, self._done = threading.Event(), threading.Event()
        self._done.set()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def run(self, patience: float) -> bool:
        """Whether a call ended within `patience` seconds. Raises what it raised."""
        if not self._done.is_set():
            return False
        if self._thread is None:  # not before: a process may fork first
            self._thread = threading.Thread(target=self._loop, name="background-call", daemon=True)
            self._thread.start()
        self._error = None
        self._done.clear()
        self._wanted.set()
        if not self._done.wait(patience):
            return False
        if self._error is not None:
            raise self._error
        return True

    def _loop(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._work()
            except BaseException as error:
                self._error = error
            self._done.set()
