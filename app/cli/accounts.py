"""`audit-gateway sources`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.text import Text

from app.cli.client import Json, connected
from app.cli.failures import printable
from app.cli.terminal import console, json_line, write_bytes

_SUPPORT = {
    "native": "filters there",
    "gateway": "filtered here",
    "not_applicable": "no such filter",
}
_LABEL = 16  #: cells


def list_sources(config: Path | None, *, as_json: bool) -> int:
    """Prints what is known of each source; returns the exit code. Raises Problem, ConfigurationError."""
    with connected(config) as client:
        sources = client.sources()
    if as_json:
        write_bytes(b"".join(map(json_line, sources)))
        return 0
    out = console()
    width = out.width if sys.stdout.isatty() else None
    for number, source in enumerate(sources):
        if number:
            out.print()
        out.print(Text(printable(f"{source['name']} ({source['provider']})"), style="bold"), soft_wrap=True)
        for label, text in _rows(source):
            for line in _wrapped(label, printable(text), width):
                out.print(line, soft_wrap=True)
    return 0


def _rows(source: Json) -> Iterator[tuple[str, str]]:
    """(label, text) of everything there is to say, in a fixed order."""
    filters: dict[str, str] = source.get("filters") or {}
    for support in dict.fromkeys((*_SUPPORT, *filters.values())):
        if names := [name for name, how in filters.items() if how == support]:
            yield _SUPPORT.get(support, support), ", ".join(names)
    if health := source.get("health"):
        yield "health", _health(health)
    details = dict(source.get("details") or {})
    learnt = details.pop("learnt", None)
    yield "settings", "; ".join(f"{name} {_value(value)}" for name, value in details.items())
    for fact in learnt or [None]:
        yield "learnt", "nothing yet" if fact is None else _fact(fact)


def _health(health: Json) -> str:
    parts = [f"circuit {health['circuit']} since {health['since']}"]
    if health.get("consecutive_failures"):
        parts.append(f"{health['consecutive_failures']} failures in a row")
    parts += [f"{label} {health[name]}" for name, label in _TIMES.items() if health.get(name)]
    return ", ".join(parts)


_TIMES = {"retry_at": "tried again at", "paused_until": "paused until"}


def _fact(fact: Any) -> str:
    if not isinstance(fact, dict) or "name" not in fact:
        return _value(fact)
    return f"{fact['name']} {_value(fact.get('value'))} (from {fact.get('how')}, {fact.get('at')})"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(item)}" for name, item in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _wrapped(label: str, text: str, width: int | None) -> Iterator[Text]:
    room = None if width is None else max(20, width - _LABEL - 2)
    lines = [text] if room is None else textwrap.wrap(text, room, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        found = Text("  ").append(f"{label if number == 0 else '':{_LABEL}}", style="dim")
        yield found.append(line)
