"""Histories for the mock: the responses of the emulators, rendered once into files of the temporary folder.

The emulators render every response anew, which would make them the slowest part of what is measured.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

import sandbox.subnoto as subnoto
import sandbox.taktikal as taktikal
from sandbox.taktikal.rendering import render_process

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = 60
_VERSION = 3  #: of the files' form
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class History:
    """One account's files in `folder`: `events` over `days`, all of them inside [since, until)."""

    provider: str
    events: int
    folder: Path
    since: str
    until: str

    @property
    def window(self) -> dict[str, str]:
        return {"since": self.since, "until": self.until}


def history(provider: str, events: int, days: int = DAYS) -> History:
    """The account of a `provider` with exactly `events` events over so many days; written at first use."""
    root = Path(tempfile.gettempdir()) / f"audit-gateway-benchmarks-{os.getuid()}"
    folder = root / f"{provider}-{events}-{days}-v{_VERSION}"
    if not folder.exists():
        root.mkdir(mode=0o700, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=root))
        count = (_write_taktikal if provider == "taktikal" else _write_subnoto)(making, events, days)
        assert count == events, f"the emulator made {count} events, not {events}"
        making.rename(folder)
    since, until = (format(NOW + timedelta(days=n), "%Y-%m-%dT%H:%M:%SZ") for n in (-days - 30, 1))
    return History(provider, events, folder, since, until)


def _write_taktikal(folder: Path, events: int, days: int) -> int:
    """`items`: the processes, newest first, as the vendor answers them; `times` and `owners`: every entry in order of
    time, in µs, and the place of its process; `keys`: of the processes."""
    options = taktikal.EmulatorOptions(events=events, days=days)
    emulator = taktikal.Emulator(options, clock=lambda: NOW)
    log = emulator.history
    moments: list[tuple[int, int]] = []
    keys: list[str] = []

    def rendered() -> Iterator[bytes]:
        for place, one in enumerate(log.newest_first(log.logs())):
            process = log.process(one)
            keys.append(process.key)
            entries = [entry for _, entry in log.entries(one, process)]
            moments.extend((entry.ticks // 10, place) for entry in entries)
            yield msgspec.json.encode(render_process(process, log.status(one), entries, options))

    _write_items(folder, "taktikal", rendered())
    (folder / "taktikal.keys").write_text("\n".join(keys))
    moments.sort()
    (folder / "taktikal.times").write_bytes(array("q", (time for time, _ in moments)))
    (folder / "taktikal.owners").write_bytes(array("q", (place for _, place in moments)))
    return len(moments)


def _write_subnoto(folder: Path, events: int, days: int) -> int:
    """`items` of each category: its records in order of insertion."""
    emulator = subnoto.Emulator(subnoto.EmulatorOptions(events=events, days=days), clock=lambda: NOW)
    count = 0
    for category in ("envelope", "team"):
        rows = emulator.history.select(category, None, None, frozenset(), "id") or []
        records = (emulator._render(emulator.history.record(row)) for row in rows)
        _write_items(folder, category, map(msgspec.json.encode, records))
        count += len(rows)
    return count


def _write_items(folder: Path, name: str, items: Iterable[bytes]) -> None:
    offsets = array("q", [0])
    with (folder / f"{name}.items").open("wb") as file:
        for item in items:
            file.write(item)
            offsets.append(offsets[-1] + len(item))
    (folder / f"{name}.offsets").write_bytes(offsets)


def to_micros(text: str) -> int:
    """Of an RFC 3339 time."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
