"""Item 7: from the command to the first answer, against the smallest FastAPI application on the same machine."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO

from benchmarks import serving
from benchmarks.histories import history
from benchmarks.pairs import Report, Target, paired
from benchmarks.serving import GATEWAY, ROOT, environment

_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")
_SHOWN = 10


def measure(*, quick: bool) -> Report:
    report = Report("Start")
    account = history("taktikal", 2_000)
    with serving.mock(account.folder) as mock:
        settings = serving.taktikal_settings(mock.url) | {"GATEWAY_AUTH": "off"}
        since = f"since={account.since}&until={account.until}"
        contenders: dict[str, Callable[[], float]] = {
            "bare": lambda: _start([sys.executable, "-m", "uvicorn", "benchmarks.bare:app"], "/"),
            "gateway": lambda: _start([GATEWAY, "serve"], "/health/live", settings),
            "gateway, events": lambda: _start([GATEWAY, "serve"], f"/events?limit=5&{since}", settings),
        }
        if not quick:
            for start in contenders.values():
                start()  # so that nobody pays for what has to be compiled or read from the disk
        found = paired(contenders, 1 if quick else 9)
        imported = _imports(settings)
    report.table(
        ["to the first answer of", "seconds", "of the bare application's"],
        [
            ["a bare FastAPI application", found.spread("bare").text(), "1"],
            ["the gateway, `/health/live`", found.spread("gateway").text(), found.ratio("gateway", "bare").text()],
            [
                "the gateway, a first page of events",
                found.spread("gateway, events").text(),
                found.ratio("gateway, events", "bare").text(),
            ],
        ],
    )
    report.targets.append(
        Target("7", "time to the first answer, of a bare FastAPI app's", 1.5, found.ratio("gateway", "bare"))
    )
    _tabulate(report, imported)
    return report


def _start(
    command: Sequence[str],
    target: str,
    env: Mapping[str, str] | None = None,
    errors: int | IO[bytes] = subprocess.DEVNULL,
) -> float:
    """Seconds from the command to the first answer with status 200. `errors`: where its standard error goes."""
    port = _free_port()
    begun = time.perf_counter()
    running = subprocess.Popen(
        [*command, "--port", str(port)],
        env=environment(env),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=errors,
    )
    try:
        request = f"GET {target} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode()
        while time.perf_counter() - begun < 60:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                    connection.sendall(request)
                    status = connection.recv(12)
            except ConnectionError:
                assert running.poll() is None, f"{command} ended with {running.returncode}"
                time.sleep(0.002)
                continue
            assert status == b"HTTP/1.1 200", status
            return time.perf_counter() - begun
        raise AssertionError(f"{command} does not come up")
    finally:
        running.kill()
        running.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _imports(settings: Mapping[str, str]) -> list[tuple[str, int]]:
    """What the gateway imports up to its first answer: modules, each with the µs that it took by itself."""
    with TemporaryFile() as told:
        _start([GATEWAY, "serve"], "/health/live", {**settings, "PYTHONPROFILEIMPORTTIME": "1"}, told)
        told.seek(0)
        return [(name, int(own)) for own, name in _IMPORT.findall(told.read().decode())]


def _tabulate(report: Report, imported: Sequence[tuple[str, int]]) -> None:
    by_package: dict[str, int] = {}
    for name, own in imported:
        package = name.split(".")[0]
        by_package[package] = by_package.get(package, 0) + own
    whole = sum(by_package.values())
    first = sorted(by_package.items(), key=lambda pair: -pair[1])[:_SHOWN]
    rows = [[f"`{name}`", f"{own / 1000:.0f}", f"{own / whole:.0%}"] for name, own in first]
    report.say(
        f"Up to that, `serve` imports {len(imported):,} modules in {whole / 1000:.0f} ms (under `-X importtime`, which"
        " takes time itself); the ten largest packages:"
    )
    report.table(["package, its own modules", "ms", "share"], rows)
