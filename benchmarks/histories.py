"""Histories for the mock: the responses of the emulators, rendered once into files of the temporary folder.

The emulators render each response again, which would dominate the measurements.
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
_VERSION = 3  #: of the file format
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
    """Return the account of a provider with exactly `events` events over `days`; the files are written at first use."""
    root = Path(tempfile.gettempdir()) / f"audit-gateway-benchmarks-{os.getuid()}"
    folder = root / f"{provider}-{events}-{days}-v{_VERSION}"
    if not folder.exists():
        root.mkdir(mode=0o700, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=root))
        count = (_write_taktikal if provider == "taktikal" else _write_subnoto)(partial, events, days)
        assert count == events, f"the emulator made {count} events, not {events}"
        partial.rename(folder)
    since, until = (format(NOW + timedelta(days=n), "%Y-%m-%dT%H:%M:%SZ") for n in (-days - 30, 1))
    return History(provider, events, folder, since, until)


def _write_taktikal(folder: Path, events: int, days: int) -> int:
    """Write `items`, the processes as in the vendor's responses, newest first; `times` and `owners` of all entries in
    order of time: µs, and the index of the process; `keys` of the processes."""
    options = taktikal.EmulatorOptions(events=events, days=days)
    emulator = taktikal.Emulator(options, clock=lambda: NOW)
    log = emulator.history
    entry_times: list[tuple[int, int]] = []
    keys: list[str] = []

    def rendered() -> Iterator[bytes]:
        for index, process_log in enumerate(log.newest_first(log.logs())):
            process = log.process(process_log)
            keys.append(process.key)
            entries = [entry for _, entry in log.entries(process_log, process)]
            entry_times.extend((entry.ticks // 10, index) for entry in entries)
            yield msgspec.json.encode(render_process(process, log.status(process_log), entries, options))

    _write_items(folder, "taktikal", rendered())
    (folder / "taktikal.keys").write_text("\n".join(keys))
    entry_times.sort()
    (folder / "taktikal.times").write_bytes(array("q", (time for time, _ in entry_times)))
    (folder / "taktikal.owners").write_bytes(array("q", (index for _, index in entry_times)))
    return len(entry_times)


def _write_subnoto(folder: Path, events: int, days: int) -> int:
    """Write `items` of each category: its records in order of insertion."""
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
    """Parse an RFC 3339 time."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
