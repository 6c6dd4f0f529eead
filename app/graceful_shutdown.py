"""An orderly end: SIGTERM makes `/health/ready` say no, and reaches the server once load balancers have seen that."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn


@contextmanager
def drained(begin: Callable[[], None], seconds: float) -> Iterator[None]:
    """While the block runs in a uvicorn server: SIGTERM calls `begin` at once, and stops the server `seconds` later;
    until then it goes on answering. A second SIGTERM stops it at once, and so does SIGINT: a person waits for that.
    `begin` comes first with either: it ends the answers that have no end of their own.

    Done here, where every worker process comes through, since uvicorn's supervisor makes its servers itself. Does
    nothing where somebody else looks after signals.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    if not isinstance(server, uvicorn.Server) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    told = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told or seconds <= 0:
            begin()
            server.handle_exit(number, frame)
            return
        told = True
        loop.call_soon_threadsafe(start, number)

    def start(number: int) -> None:
        begin()
        loop.call_later(seconds, server.handle_exit, number, None)

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        begin()
        server.handle_exit(number, frame)

    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, on_signal)
    if getattr(interrupt, "__self__", None) is server:
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, interrupt)
