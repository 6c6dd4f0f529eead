"""All events of a window, against other programs for the same: wall time and peak memory."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import DAYS, History, history
from benchmarks.pairs import Report, Spread, paired
from benchmarks.serving import ROOT, Server

PEERS = ROOT / ".venv-bench" / "bin" / "python"
TITLES = ["gateway, export", "gateway, pages of 1,000", "script: httpx + json", "dlt", "decode, sort, encode"]
OF_SCRIPT = {"taktikal": 1.2, "subnoto": 0.7}  #: most of the script's time that an export may take
CURSOR = re.compile(rb'"next_cursor":"([^"]+)')


@dataclass
class Race:
    """One account, read whole by each contender. `peaks`: bytes of memory."""

    account: History
    mock: Server
    folder: Path
    gateway: Server
    peaks: dict[str, int] = field(default_factory=dict)

    def peer(self, name: str) -> float:
        """Run `peers.py NAME`, or `floor.py` for `least`, to its end."""
        out = self.folder / name
        given = [self.account.provider, self.mock.url, self.account.since, self.account.until, str(out)]
        peer = [str(PEERS), "-W", "ignore", "benchmarks/peers.py", name]
        command = [sys.executable, "-m", "benchmarks.floor"] if name == "least" else peer
        begun = time.perf_counter()
        with (self.folder / "log").open("wb") as log:
            running = subprocess.Popen([*command, *given], stdout=log, stderr=log, cwd=ROOT)
            peak = serving.peak_until_end(running)
        taken = time.perf_counter() - begun
        if running.returncode:
            raise RuntimeError(f"{name} failed: {(self.folder / 'log').read_text()[-2000:]}")
        self.peaks[name] = max(peak, self.peaks.get(name, 0))
        found = 0
        for path in [out] if out.is_file() else out.glob("data/**/events/*.jsonl"):
            found += len(path.read_bytes().splitlines())
            path.unlink()
        assert found == self.account.events, f"{name} wrote {found} of {self.account.events} events"
        return taken

    def own(self, name: str, responses: Callable[[], Iterator[bytes]]) -> float:
        """Write what the gateway sends into a file."""
        out = self.folder / name
        self.gateway.forget_peak()
        begun = time.perf_counter()
        with out.open("wb") as file:
            file.writelines(responses())
        taken = time.perf_counter() - begun
        self.peaks[name] = max(self.gateway.peak(), self.peaks.get(name, 0))
        with out.open("rb") as lines:
            read = [json.loads(line) for line in lines]
        events = read[:-1] if name == "export" else [event for page in read for event in page["data"]]
        ids = {event["id"] for event in events}
        assert len(events) == len(ids) == self.account.events, f"{len(events)} events, {len(ids)} ids"
        return taken

    def export(self) -> float:
        return self.own("export", lambda: self.read(f"/events/export?{urlencode(self.account.window)}"))

    def pages(self) -> float:
        def responses() -> Iterator[bytes]:
            target: str | None = f"/events?{urlencode(self.account.window | {'limit': '1000'})}"
            while target is not None:
                page = b"".join(self.read(target))
                yield page + b"\n"
                cursor = CURSOR.search(page, max(0, len(page) - 4000))
                target = f"/events?limit=1000&cursor={cursor[1].decode()}" if cursor else None

        return self.own("pages", responses)

    def read(self, target: str) -> Iterator[bytes]:
        """A response in parts."""
        connection = http.client.HTTPConnection(self.gateway.url.removeprefix("http://"), timeout=600)
        connection.request("GET", target, headers={"authorization": f"Bearer {self.gateway.key}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{target}: {answer.status} {answer.read(2000)!r}")
        while part := answer.read(1 << 20):
            yield part
        connection.close()


@contextmanager
def race(provider: str, events: int, days: int = DAYS) -> Iterator[Race]:
    account = history(provider, events, days)
    with (
        TemporaryDirectory(prefix="bench-bulk-") as folder,
        serving.mock(account.folder) as mock,
        serving.gateway(serving.account(provider, mock)) as gateway,
    ):
        yield Race(account, mock, Path(folder), gateway)


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
            peaks.append(one.peaks["export"])
    what = f"peak memory of an export of {many:,} events, of one of {few:,} of as many a day"
    report.at_most(what, 1.1, Spread.of(peaks[1] / peaks[0]))
    return report


def _compare(report: Report, one: Race, rounds: int) -> None:
    if not PEERS.exists():
        print(f"No {PEERS}, which `make bench-peers` makes: the bulk export is compared with nothing.")
        return
    provider, events = one.account.provider, f"{one.account.events:,}"
    contenders = {"export": one.export, "pages": one.pages}
    found = paired(contenders | {name: lambda name=name: one.peer(name) for name in ("script", "dlt", "least")}, rounds)
    what = f"{events} {provider} events, export"
    report.at_most(f"{what}: of the script's time", OF_SCRIPT[provider], found.ratio("export", "script"))
    report.floor(f"{what}: of the script's time", found.ratio("least", "script"), found.ratio("export", "script"))
    if provider == "taktikal":
        report.at_least(f"{what}: times as fast as dlt", 2.5, found.ratio("dlt", "export"))
        header = [f"taktikal, {events} events", "seconds", "of the script's time", "peak memory, MB"]
        rows = [
            [title, found.spread(name), found.ratio(name, "script"), f"{one.peaks[name] / 1e6:,.0f}"]
            for name, title in zip(found.values, TITLES, strict=True)
        ]
        report.table(header, rows)
