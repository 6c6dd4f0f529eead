"""A stream that never blocks its writers: lines go through a bounded queue to a thread that writes them.

Prevents a stalled log reader (a full pipe behind standard error) from stopping the event loop and with it the
service; `tests/operations/test_stalled_log.py` shows it. The standard library's QueueHandler blocks or raises on a full
queue and serves `logging` alone, while structlog writes to a stream.
"""

from __future__ import annotations

import atexit
import queue
import threading
from typing import TextIO

_CAPACITY = 10_000  #: lines; about 5 MB
_FLUSH_SECONDS = 2.0  #: at exit, for a reader that is slow

_dropped = 0


def dropped_lines() -> int:
    """Return how many lines this process has dropped because nothing read its log."""
    return _dropped


class QueuedStream:
    """A text stream over `target`. `write` drops the line and counts it if `capacity` lines already wait."""

    def __init__(self, target: TextIO, capacity: int = _CAPACITY) -> None:
        self._target = target
        self._lines: queue.Queue[str] = queue.Queue(capacity)
        self._unreported = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.flush_at_exit)

    def write(self, text: str) -> int:
        global _dropped
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            _dropped += 1
            self._unreported += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread flushes after each line."""

    def isatty(self) -> bool:
        return self._target.isatty()

    def flush_at_exit(self) -> None:
        """Wait until the waiting lines are written, at most two seconds."""
        done = threading.Thread(target=self._lines.join, daemon=True)
        done.start()
        done.join(_FLUSH_SECONDS)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            try:
                if self._unreported:
                    count, self._unreported = self._unreported, 0
                    self._target.write(f'{{"event":"log_lines_dropped","level":"warning","count":{count}}}\n')
                self._target.write(line)
                self._target.flush()
            except (OSError, ValueError):
                pass  # the reader is gone; there is no place left to report it
            finally:
                self._lines.task_done()
