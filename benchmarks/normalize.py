"""Item 1: from the provider's bytes to the response's bytes, against only parsing the same bytes.

These are the gateway's own functions on the path of a page, with nothing left out: decoding the answer, records with
their order and ties, the mapping into events with their ids, masking for the caller, and encoding.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from app.api.rendering import page_parts
from app.domain.caller import SCOPES, Caller
from app.domain.event import Record
from app.domain.query import Window
from app.domain.times import DAY
from app.feed.model import Page
from app.providers.subnoto.record import number_ties
from app.providers.subnoto.wire import decode_page
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import decode_activity
from benchmarks.histories import History, history, to_micros
from benchmarks.mock import Subnoto, Taktikal
from benchmarks.pairs import Report, Target, paired, timed
from benchmarks.serving import ROOT

EVENTS, WARM = 8_000, 1_000
#: Per provider: of `orjson.loads` at `EVENTS` and at `WARM` events; and without `pii:read`, of all scopes.
_TARGETS = {"taktikal": (3.6, 5.9, 2.3), "subnoto": (4.5, 6.5, 2.0)}
_REPEATS = 4  #: of the warm measurement in one round
_EVERYTHING = Caller("bench", frozenset(SCOPES))
_MASKED = Caller("bench", frozenset(SCOPES) - {"pii:read"})
_SUBNOTO_PAGE = 50

Body = bytes


def measure(*, quick: bool) -> Report:
    report = Report("Normalizing: bytes to bytes")
    loads = _floor()
    for provider, (bound, warm_bound, masked_bound) in _TARGETS.items():
        decode, order = {
            "taktikal": (_taktikal_decode, _taktikal_records),
            "subnoto": (_subnoto_decode, _subnoto_records),
        }[provider]
        account = history(provider, WARM if quick else EVENTS)
        bodies = _answers(account)
        _check(account, order(decode(bodies)))
        contenders = _contenders(loads, bodies, decode, order)
        found = paired({name: timed(work) for name, work in contenders.items()}, 2 if quick else 15)
        warm_bodies = _answers(history(provider, WARM))
        warm = paired(_freed(_contenders(loads, warm_bodies, decode, order)), 2 if quick else 15)
        what = f"{provider} events bytes to bytes, of `orjson.loads`"
        report.targets += [
            Target(f"{account.events:,} {what}", bound, found.ratio("whole", "floor")),
            Target(f"{WARM:,} {what}, warm and freed", warm_bound, warm.ratio("whole", "floor")),
            Target(
                f"{provider} events without `pii:read`, of all scopes", masked_bound, found.ratio("masked", "whole")
            ),
        ]
    return report


def _freed(contenders: dict[str, Callable[[], object]]) -> dict[str, Callable[[], float]]:
    """Contenders several times in a row, with the time to free what they made: without page faults."""

    def repeated(work: Callable[[], object]) -> None:
        for _ in range(_REPEATS):
            work()

    return {name: timed(partial(repeated, contenders[name])) for name in ("floor", "whole")}


def _floor() -> Callable[[bytes], Any]:
    """`orjson.loads`, from the peers' environment where this one has none."""
    sys.path += map(str, (ROOT / ".venv-bench").glob("lib/python*/site-packages"))
    try:
        import orjson
    except ImportError:
        print("No orjson: `make bench-peers` installs it. The floor is the standard library's.")
        return json.loads
    return orjson.loads


def _answers(account: History) -> list[Body]:
    """The provider's answers that hold the whole account."""
    if account.provider == "taktikal":
        query = f"StartDate={account.since}&EndDate={account.until}"
        return [Taktikal(account.folder).answer("/api/signing/activity", query)]
    mock, bodies = Subnoto(account.folder), []
    for category in ("envelope", "team"):
        page: int | None = 1
        while page is not None:
            asked = {"category": category, "page": page, "limit": _SUBNOTO_PAGE, "sortBy": "id", "sortOrder": "asc"}
            bodies.append(mock.answer(json.dumps(asked).encode()))
            page = json.loads(bodies[-1])["pagination"]["nextPage"]
    return bodies


# The gateway's functions, in the order in which a page calls them: nowhere else are they named here.


def _taktikal_decode(bodies: Sequence[Body]) -> Any:
    return [decode_activity(body) for body in bodies]


def _taktikal_records(pages: Any) -> list[Record]:
    records: list[Record] = []
    for page in pages:
        for process in page.processes:
            records += records_of("taktikal", process)[0]
    records.sort(key=lambda record: record.key, reverse=True)
    return records


def _subnoto_decode(bodies: Sequence[Body]) -> Any:
    return [(json_category(body), decode_page(body)) for body in bodies]


def json_category(body: Body) -> str:
    """The category that an answer is of; a reader knows it."""
    return "team" if body.startswith(b'{"logs":[{"category":"team"') else "envelope"


def _subnoto_records(pages: Any) -> list[Record]:
    records: list[Record] = []
    for category in ("envelope", "team"):
        rows = [row for named, page in pages if named == category for row in page.rows]
        records += number_ties("subnoto", category, list(enumerate(rows)))
    records.sort(key=lambda record: record.key, reverse=True)
    return records


def _rendered(records: list[Record], caller: Caller) -> bytes:
    page = Page(
        records=records,
        limit=len(records),
        order="desc",
        has_more=False,
        next_cursor=None,
        scanned_to=None,
        window=Window(0, DAY),
        sources=[],
        include=frozenset(),
        position=(0,),
        cursor_after=str,
    )
    return b"".join(page_parts(page, caller))


def _contenders(
    loads: Callable[[bytes], Any],
    bodies: Sequence[Body],
    decode: Callable[[Sequence[Body]], Any],
    order: Callable[[Any], list[Record]],
) -> dict[str, Callable[[], object]]:
    def whole(caller: Caller) -> bytes:
        return _rendered(order(decode(bodies)), caller)

    return {
        "floor": lambda: [loads(body) for body in bodies],
        "whole": partial(whole, _EVERYTHING),
        "masked": partial(whole, _MASKED),
    }


def _check(account: History, records: list[Record]) -> None:
    """That nothing is missing and nothing is double, in what is about to be timed."""
    for caller in (_EVERYTHING, _MASKED):
        data = json.loads(_rendered(records, caller))["data"]
        ids = {event["id"] for event in data}
        assert len(ids) == len(data) == account.events, f"{len(data)} events, {len(ids)} ids, of {account.events}"
        inside = to_micros(account.since), to_micros(account.until)
        assert all(inside[0] <= to_micros(event["occurred_at"]) < inside[1] for event in data)
        names = {name for event in data for name, value in (event["recipient"] or {}).items() if value == "***"}
        assert names <= {"phone", "national_id"} if caller is _MASKED else not names, names
