"""Graceful shutdown: SIGTERM fails readiness first, then stops the server.

Load balancers see the failed readiness within `GATEWAY_SHUTDOWN_GRACE` seconds and send no new requests.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

#: Set by `serve --workers N` for its workers: the process id of their supervisor.
PARENT_VARIABLE = "_AUDIT_GATEWAY_PARENT"

_PARENT_CHECK = 1.0  #: seconds


async def stop_with_parent() -> None:
    """Stop this worker with SIGTERM once its supervisor is gone; return at once in a process that has none.

    Without it, workers whose supervisor was killed keep the port and serve for ever with old settings.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None or int(parent) == os.getpid():
        return
    while os.getppid() == int(parent):  # noqa: ASYNC110 - no event announces the end of another process
        await asyncio.sleep(_PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def graceful_shutdown(begin: Callable[[], None], seconds: float) -> Iterator[None]:
    """While the block runs in a uvicorn server, SIGTERM calls `begin` at once and stops the server `seconds` later.

    The server answers until then. A second SIGTERM stops it at once, and so does SIGINT, because a person waits for
    it; both call `begin` first, which ends responses without an end (streams). uvicorn's supervisor makes its servers
    itself, so this is set up in the lifespan, where every worker passes. Does nothing where another component handles
    the signals.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    if not isinstance(server, uvicorn.Server) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    is_stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        begin()
        server.handle_exit(number, frame)

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        if is_stopping or seconds <= 0:
            stop(number, frame)
            return
        is_stopping = True
        loop.call_soon_threadsafe(start, number)

    def start(number: int) -> None:
        begin()
        loop.call_later(seconds, server.handle_exit, number, None)

    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, on_signal)
    if getattr(interrupt, "__self__", None) is server:
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, interrupt)
