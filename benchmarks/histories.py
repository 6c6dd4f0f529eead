"""Histories for the mock providers: what the emulators would answer, rendered once and kept in files.

The emulators render every answer anew, which would make them the slowest part of what is measured. Here each signing
process and each record is rendered once, by the emulator's own code, and later only cut out of a file that the
operating system keeps in memory: a million events cost the mock a few megabytes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

import sandbox.subnoto as subnoto
import sandbox.taktikal as taktikal
from sandbox.taktikal.rendering import render_process

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = 60
_VERSION = 2  #: of the files' form
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class History:
    """One account's files in `folder`, and the truth about them: `events` over `days`. Every event lies inside
    [since, until)."""

    provider: str
    events: int
    folder: Path
    days: int = DAYS

    @property
    def since(self) -> str:
        return (NOW - timedelta(days=self.days + 30)).isoformat().replace("+00:00", "Z")

    @property
    def until(self) -> str:
        return (NOW + timedelta(days=1)).isoformat().replace("+00:00", "Z")

    @property
    def window(self) -> dict[str, str]:
        return {"since": self.since, "until": self.until}


def history(provider: str, events: int, days: int = DAYS) -> History:
    """The account of a `provider` with exactly `events` events over so many days; made at first use, and kept in
    the machine's temporary folder."""
    root = Path(tempfile.gettempdir()) / f"audit-gateway-benchmarks-{os.getuid()}"
    folder = root / f"{provider}-{events}-{days}-v{_VERSION}"
    if not (folder / "truth.json").exists():
        root.mkdir(mode=0o700, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=root))
        count = (_write_taktikal if provider == "taktikal" else _write_subnoto)(making, events, days)
        (making / "truth.json").write_text(json.dumps({"events": count}))
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    found = json.loads((folder / "truth.json").read_text())["events"]
    if found != events:
        raise AssertionError(f"the emulator made {found} events where {events} were asked for")
    return History(provider, events, folder, days)


def _write_taktikal(folder: Path, events: int, days: int) -> int:
    """`items`: the processes, newest first, as the vendor answers them; `times` and `owners`: every entry in order of
    time, in µs, and the place of its process; `keys`: of the processes."""
    options = taktikal.EmulatorOptions(events=events, days=days)
    emulator = taktikal.Emulator(options, clock=lambda: NOW)
    log = emulator.history
    moments: list[tuple[int, int]] = []
    keys: list[str] = []

    def rendered() -> Iterable[bytes]:
        for place, one in enumerate(log.newest_first(log.logs())):
            process = log.process(one)
            keys.append(process.key)
            entries = [entry for _, entry in log.entries(one, process)]
            moments.extend((entry.ticks // 10, place) for entry in entries)
            yield msgspec.json.encode(render_process(process, log.status(one), entries, options))

    _write_items(folder, "taktikal", rendered())
    (folder / "taktikal.keys").write_text("\n".join(keys))
    moments.sort()
    _write_array(folder / "taktikal.times", array("q", (time for time, _ in moments)))
    _write_array(folder / "taktikal.owners", array("q", (place for _, place in moments)))
    return len(moments)


def _write_subnoto(folder: Path, events: int, days: int) -> int:
    """`items` of each category: its records in order of insertion."""
    emulator = subnoto.Emulator(subnoto.EmulatorOptions(events=events, days=days), clock=lambda: NOW)
    count = 0
    for category in ("envelope", "team"):
        rows = emulator.history.select(category, None, None, frozenset(), "id") or []
        # The emulator's own rendering: the generation that its options choose, the vendor's present one.
        render, record = emulator._render, emulator.history.record
        _write_items(folder, category, (msgspec.json.encode(render(record(row))) for row in rows))
        count += len(rows)
    return count


def _write_items(folder: Path, name: str, items: Iterable[bytes]) -> None:
    offsets = array("q", [0])
    with (folder / f"{name}.items").open("wb") as file:
        for item in items:
            file.write(item)
            offsets.append(offsets[-1] + len(item))
    _write_array(folder / f"{name}.offsets", offsets)


def _write_array(path: Path, values: array[int]) -> None:
    with path.open("wb") as file:
        values.tofile(file)


def to_micros(text: str) -> int:
    """Of an RFC 3339 time."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
