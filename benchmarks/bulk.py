"""Exports of a whole window compared with other programs: wall time, and the gateway's peak memory."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import uvloop

from benchmarks import floor, serving
from benchmarks.histories import DAYS, History, history
from benchmarks.pairs import Report, Spread, paired
from benchmarks.serving import ROOT, Server

PEERS = ROOT / ".venv-bench" / "bin" / "python"
OF_SCRIPT = {"taktikal": 1.2, "subnoto": 0.7}  #: the largest ratio of an export's time to the script's


@dataclass
class Race:
    """One account that each contender reads completely. `without`: a gateway without its promises about events
    (benchmarks/without.py). `peak`: bytes of memory of an export."""

    account: History
    mock: Server
    folder: Path
    gateway: Server
    without: Server
    peak: int = 0

    def peer(self, name: str) -> float:
        """Run `peers.py NAME` to its end; `least` is the floor of benchmarks/floor.py."""
        out = self.folder / name
        arguments = [self.account.provider, self.mock.url, self.account.since, self.account.until]
        begin = time.perf_counter()
        if name == "least":
            with out.open("wb") as file:
                uvloop.run(floor.export(file, *arguments))
        else:
            command = [str(PEERS), "-W", "ignore", str(ROOT / "benchmarks" / "peers.py"), name, *arguments, str(out)]
            subprocess.run(command, capture_output=True, check=True)
        seconds = time.perf_counter() - begin
        count = 0
        for path in [out] if out.is_file() else out.glob("data/**/events/*.jsonl"):
            count += len(path.read_bytes().splitlines())
            path.unlink()
        assert count == self.account.events, f"{name} wrote {count} of {self.account.events} events"
        return seconds

    def export(self) -> float:
        """Write the gateway's export into a file."""
        self.gateway.forget_peak()
        seconds, ids = self.export_to_file(self.gateway)
        self.peak = max(self.gateway.peak(), self.peak)
        assert len(ids) == len(set(ids)), f"{len(ids)} events, {len(set(ids))} ids"
        return seconds

    def export_to_file(self, server: Server) -> tuple[float, list[str]]:
        """Export into a file; return the seconds and the ids."""
        out = self.folder / "export"
        begin = time.perf_counter()
        with out.open("wb") as file:
            file.writelines(self.read(server, f"/events/export?{urlencode(self.account.window)}"))
        seconds = time.perf_counter() - begin
        with out.open("rb") as lines:
            ids = [json.loads(line).get("id") for line in lines][:-1]
        assert len(ids) == self.account.events, f"{len(ids)} events"
        return seconds, ids

    def read(self, server: Server, target: str) -> Iterator[bytes]:
        """Yield the parts of a response."""
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=600)
        connection.request("GET", target, headers={"authorization": f"Bearer {server.key}"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{target}: {response.status} {response.read(2000)!r}")
        while part := response.read(1 << 20):
            yield part
        connection.close()


@contextmanager
def race(provider: str, events: int, days: int = DAYS) -> Iterator[Race]:
    account = history(provider, events, days)
    with (
        TemporaryDirectory(prefix="bench-bulk-") as folder,
        serving.mock(account.folder) as mock,
        serving.gateway(serving.account(provider, mock)) as gateway,
        serving.gateway(serving.account(provider, mock), without=provider) as without,
    ):
        yield Race(account, mock, Path(folder), gateway, without)


def measure(*, quick: bool) -> Report:
    report = Report("Bulk: all events of a window")
    for provider, events in (("taktikal", 100_000), ("subnoto", 20_000)):
        with race(provider, 2_000 if quick else events) as one:
            _compare(report, one, 1 if quick else 3)
    few, many = (1_000, 5_000) if quick else (100_000, 1_000_000)
    peaks = []
    for events in (few, many):
        with race("taktikal", events, DAYS * events // few) as one:
            one.export()
            peaks.append(one.peak)
    what = f"peak memory of an export of {many:,} events, of one of {few:,} of as many a day"
    report.at_most(what, 1.1, Spread.of(peaks[1] / peaks[0]))
    return report


def _compare(report: Report, one: Race, rounds: int) -> None:
    if not PEERS.exists():
        print(f"No {PEERS}, which `make bench-peers` creates: the export is not compared.")
        return
    provider, events = one.account.provider, f"{one.account.events:,}"
    peers = {name: lambda name=name: one.peer(name) for name in ("script", "dlt", "least")}
    exports = {"export": one.export, "without": lambda: one.export_to_file(one.without)[0]}
    figures = paired(exports | peers, rounds)
    what = f"{events} {provider} events, export"
    report.at_most(f"{what}: of the script's time", OF_SCRIPT[provider], figures.ratio("export", "script"))
    report.floor(
        f"{what}: of the script's time", *(figures.ratio(name, "script") for name in ("least", "without", "export"))
    )
    if provider == "taktikal":
        report.at_least(f"{what}: times as fast as dlt", 2.5, figures.ratio("dlt", "export"))
