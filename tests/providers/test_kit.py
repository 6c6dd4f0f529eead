"""The kit, `app.providers.kit`, with vendors of several shapes: a list in memory instead of HTTP."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytest

from app.domain.errors import SourceFailed
from app.domain.event import Actor, Envelope, Target
from app.domain.query import Query
from app.domain.times import DAY, SECOND, format_micros, parse_rfc3339
from app.paging.event_id import decode_event_id
from app.providers.base import CallBudget, CommonSettings, ReadRequest, Record
from app.providers.kit import FetchedPage, PageRequest, Row, TimeRangeSource
from app.providers.settings import SourceSettings

SINCE, UNTIL = parse_rfc3339("2026-05-01"), parse_rfc3339("2026-06-01")


class ListSource(TimeRangeSource):
    """Pages of `size` records from `items`, which are in order of time."""

    provider = "listed"
    types: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "envelope": {"made": "envelope.created", "sent": "envelope.sent", "signed": "recipient.signed"},
        "team": {"joined": "member.joined"},
    }
    size = 3

    def __init__(self, items: Sequence[dict[str, Any]]) -> None:
        common = CommonSettings(clock=lambda: UNTIL)
        super().__init__("listed", SourceSettings(base_url="http://localhost"), common)
        self.items, self.requests = items, list[PageRequest]()

    def headers(self, settings: Any) -> dict[str, str]:
        return {}

    async def fetch(self, request: PageRequest) -> FetchedPage:
        self.requests.append(request)
        chosen = [
            item
            for item in self.items
            if request.since <= parse_rfc3339(item["at"]) < request.until
            and ("member" in item) == (request.category == "team")
        ]
        chosen = chosen if request.ascending else chosen[::-1]
        offset = request.token or 0
        more = offset + self.size < len(chosen)
        return FetchedPage(chosen[offset : offset + self.size], offset + self.size if more else None, len(chosen))

    def row(self, item: Any) -> Row:
        return Row(item.get("id"), item["at"], item.get("doc", ""), item["kind"])

    def normalize(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if "member" in body:
            return {"target": Target("member", None, body["member"]["full"], body["member"]["reach"])}
        return {"envelope": Envelope(body["doc"]), "actor": Actor("user", email=body.get("who"))}


class NewestFirstSource(ListSource):
    newest_first_only = True


def item(time: int, kind: str = "made", **more: Any) -> dict[str, Any]:
    return {"at": format_micros(time), "kind": kind, "doc": "d1", **more}


async def records_of(source: ListSource, query: Query, want: int = 10, calls: int = 5) -> list[Record]:
    """Return the records of all streams; each batch is read by a new reader, as by the pages of a walk."""
    found: list[Record] = []
    for stream in source.streams(query):
        position: Any = (SINCE,) if query.ascending else (UNTIL,)
        while True:
            reader = source.reader(stream, ReadRequest(query, SINCE, UNTIL, position), CallBudget())
            batch = await reader.read(want, calls)
            found += batch.records
            if batch.ended:
                break
            position = batch.records[-1].key if batch.records else (batch.complete_until,)
    return found


@pytest.mark.parametrize("source_type", [ListSource, NewestFirstSource])
@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize("want", [1, 4, 50])
async def test_each_record_is_read_once_in_both_orders(source_type: type[ListSource], has_ids: bool, want: int) -> None:
    rng = random.Random(5)
    times = sorted([rng.randrange(SINCE, UNTIL) for _ in range(40)] + [SINCE + 9 * DAY] * 11 + [UNTIL - 1] * 2)
    # Without ids, every third is equal to another one of its time.
    source = source_type([item(t, nr=n % 3) | ({"id": f"r{n}"} if has_ids else {}) for n, t in enumerate(times)])
    up = await records_of(source, Query(order="asc"), want)
    down = await records_of(source, Query(order="desc"), want)
    ids = [record.event().id for record in up]
    assert [record.key[0] for record in up] == times
    assert len({record.key for record in up}) == len(set(ids)) == len(times)
    assert [record.event().id for record in down] == ids[::-1]
    if source_type is NewestFirstSource:
        assert not any(request.ascending for request in source.requests)
    for one in ids:
        found = await source.find(decode_event_id(one).locator, CallBudget())
        assert [record.event().id for record in found].count(one) == 1


@pytest.mark.parametrize("source_type", [ListSource, NewestFirstSource])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_records_added_during_a_walk_repeat_and_hide_no_others(
    source_type: type[ListSource], order: Literal["asc", "desc"], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(6)
    times = sorted(rng.choice([rng.randrange(SINCE, UNTIL), SINCE + 9 * DAY]) for _ in range(60))
    source = source_type([item(time, id=f"r{number}") for number, time in enumerate(times)])
    fetch = source.fetch

    async def fetch_and_add(request: PageRequest) -> FetchedPage:
        page = await fetch(request)
        if rng.random() < 0.3:
            late = item(rng.choice([rng.randrange(SINCE, UNTIL), SINCE + 9 * DAY]), id=f"late{len(source.items)}")
            source.items = sorted([*source.items, late], key=lambda one: str(one["at"]))
        return page

    monkeypatch.setattr(source, "fetch", fetch_and_add)
    ids = [record.event().provider_id for record in await records_of(source, Query(order=order), want=7)]
    assert len(source.items) > 65
    assert len(set(ids)) == len(ids)
    assert {f"r{number}" for number in range(60)} <= set(ids)


async def test_dense_and_sparse_times_take_few_calls_where_only_the_newest_are_first() -> None:
    burst = [item(SINCE + 12 * DAY + number * SECOND // 100, id=f"b{number}") for number in range(3000)]
    source = NewestFirstSource([item(SINCE + DAY, id="first"), *burst, item(UNTIL - DAY, id="last")])
    source.size = 100
    assert len(await records_of(source, Query(order="asc"), want=100_000, calls=100_000)) == 3002
    assert len(source.requests) < 100


async def test_an_empty_page_with_a_token_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {None: FetchedPage([], "a"), "a": FetchedPage([item(UNTIL - 5, id="1")], "b"), "b": FetchedPage([])}

    async def fetch(request: PageRequest) -> FetchedPage:
        return pages[request.token]

    source = ListSource([])
    monkeypatch.setattr(source, "fetch", fetch)
    assert [record.key[0] for record in await records_of(source, Query(category=("envelope",)))] == [UNTIL - 5]


async def test_a_page_token_that_repeats_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor that returns no records beyond an offset, and an adapter that computes the next one from its total."""

    async def fetch(request: PageRequest) -> FetchedPage:
        return FetchedPage([] if request.token else [item(UNTIL - 5, id="1")], 1, 9)

    source = ListSource([])
    monkeypatch.setattr(source, "fetch", fetch)
    with pytest.raises(SourceFailed, match="token"):
        await records_of(source, Query())


@pytest.mark.parametrize(
    ("filters", "types"),
    [
        ({}, None),
        ({"type": ("envelope.*",)}, ["made", "sent"]),
        ({"type": ("recipient.signed", "envelope.sent")}, ["sent", "signed"]),
        ({"type": ("envelope.*",), "type_not": ("envelope.sent",)}, ["made"]),
        ({"type": ("envelope.*", "unknown")}, None),
        ({"provider_type": ("sent", "other")}, ["other", "sent"]),
        ({"provider_type": ("sent", "other"), "type": ("envelope.*",)}, ["sent"]),
        ({"type_not": ("envelope.sent",)}, None),
    ],
)
async def test_a_request_lists_the_providers_types_that_can_match(
    filters: dict[str, Any], types: list[str] | None
) -> None:
    source = ListSource([])
    await records_of(source, Query(category=("envelope",), **filters))
    assert [request.types and sorted(request.types) for request in source.requests] == [types]


async def test_no_call_is_made_where_no_type_matches() -> None:
    source = ListSource([])
    assert await records_of(source, Query(provider_type=("sent",), type=("recipient.signed",))) == []
    assert source.requests == []


async def test_a_total_by_types_is_unknown_where_the_provider_cannot_select_them() -> None:
    source = ListSource([item(SINCE + 1, id="1"), item(SINCE + 2, "odd", id="2")])
    ListSource.native |= {"type"}
    try:
        total = await source.total(Query(type=("unknown",)), SINCE, UNTIL, CallBudget())
    finally:
        del ListSource.native
    assert (total.value, total.relation) == (0, "gte")


async def test_each_category_is_read_counted_and_probed() -> None:
    member = {"full": "Anna Jones", "reach": "anna@example.com"}
    joined = {"at": format_micros(UNTIL - 1), "kind": "joined", "id": "1", "member": member}
    source = ListSource([item(SINCE + 1, id="1"), joined])
    events = [record.event() for record in await records_of(source, Query())]
    assert [(event.category, event.type) for event in events] == [
        ("envelope", "envelope.created"),
        ("team", "member.joined"),
    ]
    assert len({event.id for event in events}) == 2
    assert (await source.total(Query(), SINCE, UNTIL, CallBudget())).value == 2
    assert (await source.total(Query(category=("team",)), SINCE, UNTIL, CallBudget())).value == 1
    assert [result.found for result in await source.probe(CallBudget())] == [
        "envelope: accepted; 0 events in 30 days",
        "team: accepted; 1 events in 30 days",
    ]


async def test_the_target_of_a_team_event_has_a_pseudonym() -> None:
    member = {"full": "Anna Jones", "reach": "anna@example.com"}
    source = ListSource([{"at": format_micros(SINCE + 2), "kind": "joined", "id": "1", "member": member}])
    [record] = await records_of(source, Query(category=("team",)))
    assert {"Anna Jones", "anna@example.com"} <= set(record.person_values())


async def test_data_keeps_a_value_that_the_record_has_twice() -> None:
    """The approver has the actor's address: without it, `data` would not name an approver."""
    body = item(SINCE + 1, id="1", who="olga@example.com", approved_by="olga@example.com", kept="user", note="success")
    [record] = await records_of(ListSource([body]), Query(category=("envelope",)))
    assert record.event().data["approved_by"] == "olga@example.com"
    assert record.event().data["kept"] == "user", "the actor's kind is no value of the record"
    assert record.event().data["note"] == "success"


async def test_a_new_link_does_not_change_the_id_of_a_record_without_one() -> None:
    ids = set()
    for number in range(2):
        link = f"https://sign.example/secret/{number:030}"
        [record] = await records_of(ListSource([item(SINCE + 1, signing_url=link)]), Query(category=("envelope",)))
        ids.add(record.event().id)
    assert len(ids) == 1
