"""Run the installed command as a fork of a process that has imported it already.

The start of a server takes 0.6 seconds of processor time instead of 2.5, about a hundred times. The forkserver of
multiprocessing runs functions, without a command's streams and exit codes.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

MODULES = ("aiohttp", "uvloop", "httptools", "uvicorn.lifespan.on", "app.main", "app.cli.main", "app.cli.serving",
           "app.forward.forwarder", "app.cli.forwarding", "sandbox.launcher", "sandbox.subnoto",
           "sandbox.taktikal")  # fmt: skip
INTERPRETER = {"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "error::DeprecationWarning:app"}
_SET_CHILD_SUBREAPER = 36  #: of prctl(2)
_LOCK = threading.Lock()


class Forked(subprocess.Popen[Any]):
    """`subprocess.Popen` for `audit-gateway ARGUMENTS…`, with the options for streams, `env`, `cwd` and
    `start_new_session`. The variables that an interpreter reads at its start are INTERPRETER, not those of `env`."""

    def _execute_child(self, args: Any, *others: Any) -> None:
        _, _, _, _, cwd, env, _, _, _, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *rest = others
        order = {"arguments": list(args), "cwd": os.fspath(cwd), "env": dict(env), "session": rest[-2]}
        streams = [
            inherited if given == -1 else given
            for given, inherited in zip((p2cread, c2pwrite, errwrite), (0, 1, 2), strict=True)
        ]
        try:
            self.pid = _fork(order, streams)
            self._child_created = True
        finally:
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


def _fork(order: dict[str, Any], streams: list[int]) -> int:
    with _LOCK:
        server = _server()
        # The command's parent, a child of the server, exits immediately; a subreaper then adopts the command.
        _set_reaper(True)
        socket.send_fds(server, [json.dumps(order).encode()], streams)
        pid = int(server.recv(64))
        _set_reaper(False)
        return pid


def _set_reaper(on: bool) -> None:
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, int(on))


@cache
def _server() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        env={**os.environ, **INTERPRETER},
        cwd=Path(__file__).parents[1],
        stdin=theirs,
        stdout=subprocess.PIPE,  # Python's stream objects for a pipe work with any file descriptor
        stderr=subprocess.STDOUT,
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(process.stdout.close)
    atexit.register(ours.close)
    return ours


def main() -> None:
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()
    orders = socket.socket(fileno=0)
    while True:
        text, streams, _, _ = socket.recv_fds(orders, 1 << 20, 3)
        if not text:
            return
        reading, writing = os.pipe()
        if not (between := os.fork()):
            if not (child := os.fork()):
                break
            os.write(writing, str(child).encode())
            os._exit(0)
        os.waitpid(between, 0)
        orders.send(os.read(reading, 64))
        for number in (reading, writing, *streams):
            os.close(number)
    orders.detach()
    os.close(reading)
    os.close(writing)
    order = json.loads(text)
    if order["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.argv = order["arguments"]
    importlib.import_module("app.cli.main").main()


if __name__ == "__main__":
    main()
