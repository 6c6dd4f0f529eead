"""`audit-gateway count`."""

from __future__ import annotations

from pathlib import Path

from app.cli.client import Json, connected
from app.cli.failures import printable
from app.cli.flags import Filters, to_send
from app.cli.terminal import console, json_line, write_bytes
from app.domain.times import now_micros

_RELATIONS = {"eq": "", "gte": "at least ", "estimate": "about "}


def count_events(filters: Filters, config: Path | None, *, exact: bool, as_json: bool) -> int:
    """Prints the totals; returns the exit code. Raises Problem, Failure, ConfigurationError."""
    pairs = to_send(filters, now_micros())
    with connected(config) as client:
        totals = client.count(pairs, exact=exact)
    if as_json:
        write_bytes(json_line(totals))
        return 0
    rows = [(str(source["name"]), _amount(source)) for source in totals["sources"]]
    rows.append(("total", _amount(totals)))
    names = max((len(name) for name, _ in rows), default=0)
    numbers = max((len(amount.rpartition(" ")[0]) for _, amount in rows), default=0)
    out = console()
    for name, amount in rows:
        number, _, unit = amount.rpartition(" ")
        out.print(f"{printable(name):{names}}  {number:>{numbers}} {printable(unit)}", soft_wrap=True)
    return 0


def _amount(total: Json) -> str:
    relation = _RELATIONS.get(total["relation"], f"{total['relation']} ")
    return f"{relation}{total['value']:,} {total['unit']}"
