"""From the vendor's bytes to the response's bytes, compared with parsing the same bytes.

These are the gateway's functions on the path of a page: decoding, records with their order and ties, the mapping into
events with their ids, masks, encoding.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from app.api.rendering import render_page
from app.domain.caller import SCOPES, Caller
from app.domain.event import Record
from app.domain.query import Window
from app.domain.times import DAY
from app.feed.model import Page
from app.providers.subnoto.record import number_ties
from app.providers.subnoto.wire import decode_page
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import decode_activity
from benchmarks.floor import subnoto_events, taktikal_events
from benchmarks.histories import History, history
from benchmarks.mock import Subnoto, Taktikal
from benchmarks.pairs import Report, paired, timed
from benchmarks.serving import ROOT
from benchmarks.without import ALL, variants

EVENTS, WARM = 8_000, 1_000
#: By provider: of `orjson.loads` at EVENTS and at WARM events; without `pii:read`, of all scopes.
TARGETS = {"taktikal": (3.6, 5.9, 2.3), "subnoto": (4.5, 6.5, 2.0)}
REPEATS = 4  #: of the warm measurement in one round
CALLERS = {"whole": Caller("bench", frozenset(SCOPES)), "masked": Caller("bench", frozenset(SCOPES) - {"pii:read"})}


def measure(*, quick: bool) -> Report:
    report = Report("Normalizing: bytes to bytes")
    loads, rounds, rows = _loads(), 2 if quick else 15, list[list[object]]()
    for provider, (bound, warm_bound, masked_bound) in TARGETS.items():
        account = history(provider, WARM if quick else EVENTS)
        works = _works(loads, account)
        for name in CALLERS:
            events = json.loads(works[name]())["data"]
            assert len({event["id"] for event in events}) == len(events) == account.events
        broken = variants(provider, works["whole"])
        found = paired({name: lambda work=work: timed(work) for name, work in (works | broken).items()}, rounds)
        # Several times in a row, with the time to free the results: without page faults.
        works = _works(loads, history(provider, WARM))
        warm = paired({name: lambda work=works[name]: timed(_repeated(work)) for name in ("loads", "whole")}, rounds)
        what = f"{provider} events bytes to bytes, of `orjson.loads`"
        report.at_most(f"{account.events:,} {what}", bound, found.ratio("whole", "loads"))
        report.at_most(f"{WARM:,} {what}, warm and freed", warm_bound, warm.ratio("whole", "loads"))
        without = f"{provider} events without `pii:read`, of all scopes"
        report.at_most(without, masked_bound, found.ratio("masked", "whole"))
        what = f"{account.events:,} {provider} events, of `orjson.loads`"
        report.floor(what, *(found.ratio(name, "loads") for name in ("least", ALL, "whole")))
        rows.append([provider, *(found.ratio(name, "loads") for name in broken if name != ALL)])
    header = [f"without {name}" for name in broken if name != ALL]
    report.table([f"{EVENTS:,} events, of `orjson.loads`", *header], rows)
    return report


def _repeated(work: Callable[[], object]) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(REPEATS):
            work()

    return repeat


def _loads() -> Callable[[bytes], Any]:
    """`orjson.loads`, from the environment of the comparison programs."""
    sys.path += map(str, (ROOT / ".venv-bench").glob("lib/python*/site-packages"))
    try:
        import orjson
    except ImportError:
        print("No orjson, which `make bench-peers` installs: the floor is the standard library's.")
        return json.loads
    return orjson.loads


def _works(loads: Callable[[bytes], Any], account: History) -> dict[str, Callable[[], Any]]:
    read, bodies = _taktikal(account) if account.provider == "taktikal" else _subnoto(account)
    works: dict[str, Callable[[], Any]] = {"loads": lambda: [loads(body) for body in bodies]}
    works["least"] = lambda: taktikal_events(*bodies) if account.provider == "taktikal" else subnoto_events(bodies)
    return works | {name: lambda caller=caller: _rendered(read(), caller) for name, caller in CALLERS.items()}


def _taktikal(account: History) -> tuple[Callable[[], list[Record]], Sequence[bytes]]:
    """Return a function that reads the records of the whole account, and the vendor's responses."""
    query = f"StartDate={account.since}&EndDate={account.until}"
    body = Taktikal(account.folder).respond("/api/signing/activity", query)

    def read() -> list[Record]:
        return [record for process in decode_activity(body).processes for record in records_of("taktikal", process)[0]]

    return read, [body]


def _subnoto(account: History) -> tuple[Callable[[], list[Record]], Sequence[bytes]]:
    mock, bodies = Subnoto(account.folder), dict[str, list[bytes]]()
    for category in ("envelope", "team"):
        page: int | None = 1
        while page is not None:
            request = {"category": category, "page": page, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
            bodies.setdefault(category, []).append(mock.respond(json.dumps(request).encode()))
            page = json.loads(bodies[category][-1])["pagination"]["nextPage"]

    def read() -> list[Record]:
        records: list[Record] = []
        for category, pages in bodies.items():
            rows = [row for body in pages for row in decode_page(body).rows]
            records += number_ties("subnoto", category, list(enumerate(rows)))
        return records

    return read, [body for pages in bodies.values() for body in pages]


def _rendered(records: list[Record], caller: Caller) -> bytes:
    records.sort(key=lambda record: record.key, reverse=True)
    page = Page(
        records=records, limit=len(records), order="desc", has_more=False, next_cursor=None, scanned_to=None,
        window=Window(0, DAY), sources=[], include=frozenset(), position=(0,), cursor_after=str,
    )  # fmt: skip
    # Without an event loop: its start and end take as long as hundreds of events.
    rendering = render_page(page, caller)
    while True:
        try:
            rendering.send(None)
        except StopIteration as done:
            return b"".join(done.value)
