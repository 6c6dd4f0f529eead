"""`audit-gateway` as it is installed, which on SIGUSR1 writes down what it holds: for the soak alone.

python tests/soak/gateway.py FILE serve ...
"""

from __future__ import annotations

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


def tell(_number: int, _frame: FrameType | None) -> None:
    """Tasks by what they run; connections to providers by what their pools take them for; objects; and memory, once
    what is only kept for later use has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    told: dict[str, Any] = {
        "tasks": Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks()),
        "connections": connections(),
        "blocks": sys.getallocatedblocks(),
        "used": malloc_in_use(),
        "resident": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    }
    part = FILE.with_suffix(".part")
    part.write_text(json.dumps(told))
    os.replace(part, FILE)


class _Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    # fmt: off
    _fields_ = [
        (name, ctypes.c_size_t) for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]
    # fmt: on


def malloc_in_use() -> int:
    """Bytes that malloc has handed out: everything but Python's small objects, which are counted as blocks."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    told = mallinfo()
    return int(told.uordblks + told.hblkhd)


def connections() -> dict[str, int]:
    # A pool that takes a connection for busy which nobody uses runs dry in the end, and no socket shows which those
    # are: only aiohttp itself knows.
    pools = [each for each in gc.get_objects() if isinstance(each, aiohttp.TCPConnector)]
    return {
        "busy": sum(len(pool._acquired) for pool in pools),
        "idle": sum(len(kept) for pool in pools for kept in pool._conns.values()),
    }


if __name__ == "__main__":
    FILE = Path(sys.argv.pop(1))
    signal.signal(signal.SIGUSR1, tell)
    sys.exit(main())
