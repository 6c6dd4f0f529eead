"""`audit-gateway`, which writes its state as JSON into FILE on SIGUSR1: `gateway.py FILE serve …`"""

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp

from app.cli.main import main

C = ctypes.CDLL(None)


class _Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [(f"_{number}", ctypes.c_size_t) for number in range(10)]


C.mallinfo2.restype = _Mallinfo


def write_state(_number: int, _frame: FrameType | None) -> None:
    """Count tasks by coroutine, connections, objects, and the memory in use without malloc's free memory."""
    gc.collect()
    C.malloc_trim(0)
    malloc = C.mallinfo2()
    # A connection that a pool counts as busy although it is unused has no socket.
    pools = [each for each in gc.get_objects() if isinstance(each, aiohttp.TCPConnector)]
    state: dict[str, Any] = {
        "tasks": Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks()),
        "busy": sum(len(pool._acquired) for pool in pools),
        "idle": sum(len(connections) for pool in pools for connections in pool._conns.values()),
        "blocks": sys.getallocatedblocks(),
        "used": int(malloc._7 + malloc._4),  # uordblks and hblkhd
    }
    part = FILE.with_suffix(".part")
    part.write_text(json.dumps(state))
    os.replace(part, FILE)


if __name__ == "__main__":
    FILE = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, write_state)
    sys.exit(main())
