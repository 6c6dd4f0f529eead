"""Item 3: all events of a window, against what one would use instead: wall time and peak memory."""

from __future__ import annotations

import gzip
import http.client
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import DAYS, History, history
from benchmarks.pairs import Report, Rounds, Spread, Target, paired
from benchmarks.serving import ROOT, Server

#: The peers' own interpreter; see requirements.txt.
PEERS = ROOT / ".venv-bench" / "bin" / "python"
_SETTINGS = {"taktikal": serving.taktikal_settings, "subnoto": serving.subnoto_settings}
_CURSOR = b'"next_cursor":"'
_OF_SCRIPT = {"taktikal": 1.2, "subnoto": 0.7}  #: most of the script's time that an export may take
_FASTER_THAN_DLT = 2.5  #: a Taktikal export


@dataclass
class Race:
    """One account, read whole by each contender in turn. `peaks`: bytes of memory."""

    account: History
    mock: Server
    folder: Path
    gateway: Server
    peaks: dict[str, list[float]] = field(default_factory=dict)

    def peer(self, name: str) -> float:
        """Runs `peers/NAME.py` to its end, and counts what it wrote."""
        out = self.folder / name
        command = [str(PEERS), "-W", "ignore", str(ROOT / "benchmarks" / "peers" / f"{name}.py")]
        command += [self.account.provider, self.mock.url, self.account.since, self.account.until, str(out)]
        begun = time.perf_counter()
        with (self.folder / f"{name}.log").open("w+b") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log)
            peak = serving.peak_until_end(running)
        taken = time.perf_counter() - begun
        if running.returncode:
            raise RuntimeError(f"{name} failed: {(self.folder / f'{name}.log').read_text()[-2000:]}")
        self.peaks.setdefault(name, []).append(peak)
        found = sum(_lines(out))
        assert found == self.account.events, f"{name} wrote {found} of {self.account.events} events"
        return taken

    def exported(self) -> float:
        """`GET /events/export` into a file."""
        out = self.folder / "export.ndjson"
        self.gateway.forget_peak()
        begun = time.perf_counter()
        with connected(self.gateway) as ask, out.open("wb") as file:
            for part in ask(f"/events/export?{urlencode(self.account.window)}"):
                file.write(part)
        taken = time.perf_counter() - begun
        self.peaks.setdefault("gateway, export", []).append(self.gateway.peak())
        with out.open("rb") as lines:
            *events, last = (json.loads(line) for line in lines)
        assert last["complete"] is True, last
        _complete([event["id"] for event in events], self.account)
        return taken

    def paged(self) -> float:
        """`GET /events` by pages of 1,000, written as they come."""
        out = self.folder / "pages.ndjson"
        self.gateway.forget_peak()
        begun = time.perf_counter()
        target: str | None = f"/events?{urlencode(self.account.window | {'limit': '1000'})}"
        with connected(self.gateway) as ask, out.open("wb") as file:
            while target is not None:
                page = b"".join(ask(target))
                file.write(page + b"\n")
                at = page.rfind(_CURSOR)
                end = page.find(b'"', at + len(_CURSOR))
                target = None if at < 0 else f"/events?limit=1000&cursor={page[at + len(_CURSOR) : end].decode()}"
        taken = time.perf_counter() - begun
        self.peaks.setdefault("gateway, pages of 1,000", []).append(self.gateway.peak())
        with out.open("rb") as pages:
            _complete([event["id"] for page in pages for event in json.loads(page)["data"]], self.account)
        return taken


def _complete(ids: list[str], account: History) -> None:
    assert len(ids) == len(set(ids)) == account.events, f"{len(ids)} events, {len(set(ids))} ids, of {account.events}"


def _lines(out: Path) -> Iterator[int]:
    """The events in each file that a peer wrote, which is then removed."""
    for path in [
        out,
        *out.parent.glob(f"{out.name}.*/**/*.json.gz"),
        *out.parent.glob(f"{out.name}.*/data/**/events/*.jsonl"),
    ]:
        if path.is_file():
            text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            yield sum(1 for line in text.splitlines() if line)
            path.unlink()


@contextmanager
def connected(server: Server):  # type: ignore[no-untyped-def]
    """One connection to a gateway: a function that gives the body of an answer, in parts."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=600)

    def ask(target: str) -> Iterator[bytes]:
        connection.request("GET", target, headers={"authorization": f"Bearer {server.key}"} if server.key else {})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{target}: {answer.status} {answer.read(2000)!r}")
        while part := answer.read(1 << 20):
            yield part

    try:
        yield ask
    finally:
        connection.close()


@contextmanager
def race(provider: str, events: int, days: int = DAYS) -> Iterator[Race]:
    account = history(provider, events, days)
    with (
        TemporaryDirectory(prefix="bench-bulk-") as folder,
        serving.mock(account.folder) as mock,
        serving.gateway(_SETTINGS[provider](mock.url)) as gateway,
    ):
        yield Race(account, mock, Path(folder), gateway)


def measure(*, quick: bool, peers: bool = True) -> Report:
    report = Report("Bulk: all events of a window")
    rounds = 1 if quick else 3
    for provider, events in (("taktikal", 100_000), ("subnoto", 20_000)):
        with race(provider, 2_000 if quick else events) as one:
            _compare(report, one, rounds, peers)
    _memory(report, *((1_000, 5_000) if quick else (100_000, 1_000_000)))
    return report


def _compare(report: Report, one: Race, rounds: int, peers: bool) -> None:
    contenders = {"gateway, export": one.exported, "gateway, pages of 1,000": one.paged}
    names = {"script": "script: httpx + json", "with_dlt": "dlt"}
    if peers and PEERS.exists():
        contenders |= {name: lambda name=name: one.peer(name) for name in names}
    else:
        print("No peers: left out, or `.venv-bench` is not there (`make bench-peers` makes it).")
        names = {}
    found = paired(contenders, rounds)
    _tabulate(report, one, found, names)


def _tabulate(report: Report, one: Race, found: Rounds, names: dict[str, str]) -> None:
    rows = []
    for name in found.values:
        peak = max(one.peaks[name]) / 1e6
        against = found.ratio(name, "script").text() if "script" in found.values else "-"
        rows.append([names.get(name, name), found.spread(name).text(), against, f"{peak:,.0f}"])
    if one.account.provider == "taktikal":
        title = f"taktikal, {one.account.events:,} events"
        report.table([title, "seconds", "of the script's time", "peak memory, MB"], rows)
    if not names:
        return
    provider, label = one.account.provider, f"{one.account.events:,} {one.account.provider} events, export"
    of_script = found.ratio("gateway, export", "script")
    report.targets.append(Target(f"{label}: of the script's time", _OF_SCRIPT[provider], of_script))
    if provider == "taktikal":
        faster = found.ratio("with_dlt", "gateway, export")
        report.targets.append(Target(f"{label}: times as fast as dlt", _FASTER_THAN_DLT, faster, at_least=True))


def _memory(report: Report, few: int, many: int) -> None:
    """Peak memory of a gateway that has just started, by the number of events exported, of as many a day."""
    peaks = []
    for events in (few, many):
        with race("taktikal", events, DAYS * events // few) as one:
            one.exported()
            peaks.append(one.peaks["gateway, export"][0])
    growth = peaks[1] / peaks[0]
    what = f"peak memory of an export of {many:,} events, of one of {few:,} of as many a day"
    report.targets.append(Target(what, 1.1, Spread(growth, growth, growth)))
