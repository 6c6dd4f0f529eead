"""The processes under measurement: started, asked where they listen, and ended with the block."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_START = 60  #: seconds that a process may take to come up on a busy machine
_URL = re.compile(rb"https?://[\w.\[\]:]+")


@dataclass(frozen=True)
class Server:
    """A process that listens at `url`. `key`: what opens a gateway."""

    url: str
    pid: int
    key: str | None = None

    def get(self, target: str) -> Any:
        """The JSON answer; raises on any status but 200."""
        return json.loads(self.read(target))

    def read(self, target: str) -> bytes:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        with urllib.request.urlopen(urllib.request.Request(self.url + target, headers=headers), timeout=600) as answer:
            return bytes(answer.read())

    def calls(self) -> list[str]:
        """What a mock was called with since this was asked last."""
        return list(self.get("/-/calls"))

    def peak(self) -> int:
        """The most memory it has held since `forget_peak`, in bytes."""
        return _status(self.pid, "VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"/proc/{pid}/status has no {name}")


def peak_until_end(running: subprocess.Popen[bytes]) -> int:
    """Waits for a process and gives the most memory that it held, in bytes, as of its last few milliseconds.

    What the kernel tells of a process that has ended would include what this one held when it started it."""
    peak = 0
    while True:
        with suppress(AssertionError, FileNotFoundError):  # it may have ended just now
            peak = max(peak, _status(running.pid, "VmHWM"))
        try:
            running.wait(timeout=0.01)
        except subprocess.TimeoutExpired:
            continue
        return peak


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of this machine, without any setting of a gateway."""
    prefixes = ("GATEWAY_", "TAKTIKAL_", "SUBNOTO_", "_AUDIT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | {"GATEWAY_SHUTDOWN_GRACE": "0", "PYTHONUNBUFFERED": "1"} | dict(extra or {})


@contextmanager
def process(
    command: Sequence[str], *, until: bytes = b"\n", env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[tuple[int, bytes]]:
    """A process that says where it listens: its id, and what it printed, `until` included."""
    # Into files, not pipes: a server whose log nobody reads stands still once the pipe is full.
    with TemporaryDirectory(prefix="bench-") as folder:
        printed, errors = Path(folder) / "stdout", Path(folder) / "stderr"
        with printed.open("wb") as out, errors.open("wb") as err:
            running = subprocess.Popen(list(command), env=environment(env), cwd=cwd, stdout=out, stderr=err)
        try:
            deadline = time.monotonic() + _START
            while until not in (text := printed.read_bytes() + errors.read_bytes()):
                if running.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not come up: {text.decode()[-2000:]}")
                time.sleep(0.01)
            yield running.pid, text
        finally:
            running.terminate()
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


@contextmanager
def mock(*folders: Path, latency: float = 0.0, padding: int = 0) -> Iterator[Server]:
    """The mock providers over these histories, each record longer by `padding` bytes."""
    command = [sys.executable, "-m", "benchmarks.mock", *map(str, folders), "--latency", str(latency)]
    command += ["--padding", str(padding)]
    with process(command) as (pid, printed):
        yield Server(_url(printed), pid)


def _url(printed: bytes) -> str:
    found = _URL.search(printed)
    assert found is not None
    return found[0].decode()


def taktikal_settings(url: str) -> dict[str, str]:
    return {"TAKTIKAL_BASE_URL": f"{url}/api", "TAKTIKAL_COMPANY_KEY": "company", "TAKTIKAL_API_KEY": "key"}


def subnoto_settings(url: str) -> dict[str, str]:
    return {"SUBNOTO_BASE_URL": url, "SUBNOTO_ACCESS_KEY": "access", "SUBNOTO_SECRET_KEY": "secret"}


GATEWAY = str(Path(sys.executable).with_name("audit-gateway"))


@contextmanager
def gateway(env: Mapping[str, str], *arguments: str) -> Iterator[Server]:
    """`audit-gateway serve` as users run it: authentication on, one line of log a request."""
    with process([GATEWAY, "serve", "--port", "0", *arguments], until=b"/docs\n", env=env) as (pid, printed):
        key = re.search(rb"key +(\S+)", printed)
        yield Server(_url(printed), pid, key[1].decode() if key else None)


@contextmanager
def same_stack(upstream: str) -> Iterator[Server]:
    """The pass-through on the gateway's own stack."""
    with process([sys.executable, "-m", "benchmarks.passthrough", upstream]) as (pid, printed):
        yield Server(_url(printed), pid)


@contextmanager
def stock(upstream: str) -> Iterator[Server]:
    """The pass-through that anyone would write, run by `uvicorn` with its defaults."""
    with uvicorn("benchmarks.stock:app", {"UPSTREAM": upstream}) as server:
        yield server


@contextmanager
def uvicorn(app: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`uvicorn APP` on a free port."""
    command = [sys.executable, "-m", "uvicorn", app, "--port", "0"]
    with process(command, until=b"CTRL+C", env=env) as (pid, printed):
        yield Server(_url(printed), pid)
