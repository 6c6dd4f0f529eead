"""The processes under measurement. Each listens on a free port and is stopped with its block."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.operations.nginx import free_port, is_open
from tests.process import environment
from tests.process import serving as serving_gateway
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
#: `uvicorn` with its defaults, and with the gateway's options.
_OWN_OPTIONS = ["--ws", "none", "--no-access-log", "--no-server-header", "--log-level", "critical"]
OPTIONS = {"stock": [], "same": _OWN_OPTIONS, "floor": _OWN_OPTIONS}


@dataclass(frozen=True)
class Server:
    """A process that listens at `url`. `key` is of a gateway."""

    url: str
    pid: int
    key: str | None = None

    def read(self, target: str) -> bytes:
        """Return the body. Raises HTTPError for a status of 400 or more."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        request = urllib.request.Request(self.url + target, headers=headers)
        with urllib.request.urlopen(request, timeout=600) as response:
            return bytes(response.read())

    def get(self, target: str) -> Any:
        return json.loads(self.read(target))

    def seconds(self, target: str) -> float:
        begun = time.perf_counter()
        self.read(target)
        return time.perf_counter() - begun

    def peak(self) -> int:
        """Return the peak memory since `forget_peak`, in bytes."""
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def processor(self) -> float:
        """Return the processor seconds since the start."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


@contextmanager
def python(*module: str, port: int, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, env=environment(env), cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        try:
            wait_until(lambda: running.poll() is not None or is_open(port))
            yield Server(f"http://127.0.0.1:{port}", running.pid)
        finally:
            running.kill()


@contextmanager
def mock(*folders: Path, padding: int = 0) -> Iterator[Server]:
    """Run the mock of both vendors over these histories, with `padding` bytes of numbers in each record."""
    port = free_port()
    with python("benchmarks.mock", str(port), str(padding), *map(str, folders), port=port) as server:
        yield server


@contextmanager
def passthrough(name: str, upstream: Server) -> Iterator[Server]:
    port = free_port()
    command = ["uvicorn", f"benchmarks.passthrough:{name}", "--port", str(port), *OPTIONS[name]]
    with python(*command, port=port, env={"UPSTREAM": upstream.url}) as server:
        yield server


@contextmanager
def gateway(env: Mapping[str, str], *arguments: str, without: str | None = None) -> Iterator[Server]:
    """Run `audit-gateway serve` with authentication and a log. `without`: the provider without promises
    (benchmarks/without.py)."""
    options: dict[str, Any] = {}
    if without is not None:
        env = {**env, "WITHOUT": without, "PYTHONPATH": str(ROOT)}
        options["command"] = (sys.executable, "-m", "benchmarks.without")
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        # A variable of the interpreter: a new process, not a fork.
        serving_gateway(*arguments, cwd=Path(folder), env={**env, "PYTHONUNBUFFERED": "1"}, **options) as running,
    ):
        key = re.search(r"key +(\S+)", running.greeting)
        yield Server(running.url, running.process.pid, key[1] if key else None)


def account(provider: str, mock: Server) -> dict[str, str]:
    """Return the environment of an account at the mock."""
    if provider == "taktikal":
        return {"TAKTIKAL_BASE_URL": f"{mock.url}/api", "TAKTIKAL_COMPANY_KEY": "company", "TAKTIKAL_API_KEY": "key"}
    return {"SUBNOTO_BASE_URL": mock.url, "SUBNOTO_ACCESS_KEY": "access", "SUBNOTO_SECRET_KEY": "secret"}
