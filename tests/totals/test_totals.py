"""Totals: the providers' own, differences of positions, and events counted by reading; and their cache."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from app.domain.caller import Caller
from app.domain.errors import SourcesFailed
from app.domain.parameters import read_query
from app.domain.query import CountQuery, Query
from app.domain.times import DAY, format_micros, parse_rfc3339
from app.feed import totals as totals_cache
from app.feed.model import FeedCall, Totals
from app.feed.service import Feed
from app.feed.totals import Groups, TotalsCache
from sandbox.serving import serve
from tests.providers.faulty import Rewritten
from tests.worlds import ANYONE, SubnotoOptions, TaktikalOptions, World, ask, served_world, walk, window, world


@pytest.fixture(scope="module")
def both() -> Iterator[World]:
    """A world whose clock stands still."""
    with served_world(TaktikalOptions(events=500), SubnotoOptions(events=500)) as one:
        yield one


@pytest.fixture
async def feed(both: World) -> AsyncIterator[Feed]:
    made = both.gateway()
    yield made
    await made.aclose()
    both.feeds.remove(made)


async def count(
    feed: Feed, caller: Caller = ANYONE, *, no_cache: bool = False, exact: bool = False, **given: Any
) -> Totals:
    parameters = {**given, "exact": "true"} if exact else given
    query = read_query(CountQuery, [(name, str(value)) for name, value in parameters.items()])
    return await feed.totals(query, caller, no_cache=no_cache)


def true_number(one: World, given: dict[str, str], **only: str) -> int:
    """Return the number of events of a window; `only`: a `category` or `provider_type`."""
    return sum(
        (row[2] == only.get("category", row[2])) and (row[4] == only.get("provider_type", row[4]))
        for row in one.truth(parse_rfc3339(given["since"]), parse_rfc3339(given["until"]))
    )


@pytest.mark.parametrize("skew", [0.0, 119.0])
async def test_subnoto_counts_the_events_of_a_window_exactly(skew: float) -> None:
    async with world(subnoto=SubnotoOptions(events=2500, skew_seconds=skew, tie_burst=30, twins=0.05)) as one:
        feed = one.gateway()
        for days, length in ((60, 60), (31, 9.3), (12.345, 0.01), (5, 5), (400, 20)):
            given = window(one, days, length)
            totals = await count(feed, **given)
            assert (totals.value, totals.unit, totals.relation) == (true_number(one, given), "events", "eq")
        given = window(one, 40, 20)
        assert (await count(feed, **given, category="team")).value == true_number(one, given, category="team")
        signed = await count(feed, **given, provider_type="DOCUMENT_SIGNED")
        assert (signed.value, signed.relation) == (true_number(one, given, provider_type="DOCUMENT_SIGNED"), "eq")


async def test_a_window_of_a_long_history_is_counted_in_few_calls() -> None:
    async with world(subnoto=SubnotoOptions(events=50_000)) as one:
        feed = one.gateway()
        await count(feed, **window(one, 30, 3), category="envelope")
        assert one.calls() <= 20  # 2 · (2·log2(n/50) + 4) would be 48; this history has nights and weekends


#: How a server may read the ends of a range: whether `EndDate` is inclusive, and whether it looks at fractions.
ENDS = [
    {"end_inclusive": inclusive, "query_precision": precision}
    for inclusive in (False, True)
    for precision in ("ticks", "seconds")
]


def with_events(one: World, since: int, until: int) -> int:
    """Return the number of Taktikal's envelopes with events in the window (µs)."""
    return len({row[3] for row in one.truth(since, until)})


@pytest.mark.parametrize("ends", ENDS)
async def test_taktikals_total_is_exact_only_if_the_ends_of_the_window_make_no_difference(
    ends: dict[str, Any],
) -> None:
    """Regression: wrong totals were `eq` if `EndDate` is inclusive or fractions are ignored."""
    options = TaktikalOptions(events=300, days=60, created_precision="milliseconds", **ends)
    async with world(taktikal=options) as one:
        feed = one.gateway()
        created: dict[str, int] = {}
        for row in one.truth():
            created.setdefault(row[3], row[0])
        relations = set()
        for moment in list(created.values())[-10::3]:
            for since, until in (
                (moment - 5 * DAY, moment),
                (moment - 5 * DAY, moment + 1000),
                (moment, moment + 5 * DAY),
                (moment + 1000, moment + 5 * DAY),
                (moment, moment + 1000),
            ):
                given = {"since": format_micros(since), "until": format_micros(until)}
                found = (await count(feed, **given)).sources[0].provider_total
                truth = with_events(one, since, until)
                if found is None:
                    continue  # a lower bound of 0 is omitted
                assert found.value == truth if found.relation == "eq" else found.value <= truth
                assert found.relation in ("eq", "gte")
                relations.add(found.relation)
        assert "gte" in relations
        for days, length in ((20, 6.5), (9, 9), (31.00000123, 3.000000007)):
            given = window(one, days, length)
            totals = await count(feed, **given)
            envelopes = with_events(one, parse_rfc3339(given["since"]), parse_rfc3339(given["until"]))
            own = totals.sources[0].provider_total
            assert (own.value, own.unit, own.relation) == (envelopes, "envelopes", "eq")
            assert (totals.value, totals.unit, totals.relation) == (true_number(one, given), "events", "eq")


@pytest.mark.parametrize("key_dates", ["honoured", "ignored"])
async def test_an_envelopes_total_is_exact_only_if_the_window_contains_all_of_it(key_dates: Any) -> None:
    """Regression: the total of a window before its creation was 1, `eq`, from a server that ignores dates beside a
    key."""
    async with world(taktikal=TaktikalOptions(events=300, key_dates=key_dates)) as one:
        feed = one.gateway()
        key = (await ask(feed, limit=1)).records[0].key[3]
        before = format_micros(one.now - 200 * DAY)
        for given, relation in (({}, "eq"), ({"until": before}, "estimate"), ({"since": before}, "estimate")):
            own = (await count(feed, **given, envelope_id=key)).sources[0].provider_total
            assert own.relation == relation
        own = (await count(feed, envelope_id=key)).sources[0].provider_total
        assert own.value == 1


async def test_a_total_of_the_parts_of_envelopes_is_an_estimate() -> None:
    """Regression: twice the number of envelopes was `eq`."""
    async with world(taktikal=TaktikalOptions(events=300, split_items="by_item", twins=0.0)) as one:
        own = (await count(one.gateway(), **window(one, 20, 6.5))).sources[0].provider_total
        assert own.relation == "estimate"


async def test_a_count_is_cached_regardless_of_its_cost() -> None:
    async with world(taktikal=TaktikalOptions(events=600, days=60)) as one:
        feed = one.gateway()
        await count(feed, **window(one, 30, 30))
        for days in (20, 200):
            given = window(one, days, 10)
            assert (await count(feed, **given)).relation == "eq"
            one.reset_calls()
            assert [(await count(feed, **given)).relation for _ in range(3)] == ["eq"] * 3
            assert one.calls() == 0


async def test_ranges_that_select_by_creation_give_an_estimate() -> None:
    async with world(taktikal=TaktikalOptions(events=1500, range_selects="creation")) as one:
        given = window(one, 20, 6.5)
        totals = await count(one.gateway(), **given)
        own = totals.sources[0].provider_total
        assert own.relation == "estimate"
        assert (totals.value, totals.relation) == (true_number(one, given), "eq")


async def test_a_count_stops_at_its_budget_unless_it_is_to_be_exact() -> None:
    async with world(subnoto=SubnotoOptions(events=3000)) as one:
        feed, given = one.gateway(scan=12), window(one, 60, 60)
        truth = true_number(one, given)
        some = await count(feed, **given, by="day")
        (source,) = some.sources
        assert (some.relation, source.provider_total and source.provider_total.value) == ("gte", truth)
        assert 0 < some.value < truth
        assert source.scanned_to is not None
        assert some.value == true_number(one, {**given, "since": source.scanned_to})
        assert (await count(feed, **given, by="day", exact=True)).value == truth


@pytest.mark.parametrize("is_late", [True, False])
async def test_a_count_that_meets_a_rate_limit_late_tells_how_far_it_came(
    is_late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(feed: Feed, *given: Any) -> FeedCall:
        made = begun(feed, *given)
        return msgspec.structs.replace(made, half_time=made.begun) if is_late else made

    begun = Feed._call
    monkeypatch.setattr(Feed, "_call", call)
    async with world(subnoto=SubnotoOptions(events=3000)) as one:
        feed, given = one.gateway(), window(one, 60, 60)
        await count(feed, **given)
        one.subnoto.faults.hang(0, times=35)
        one.subnoto.faults.answer(429, {"Retry-After": "100"}, times=50)
        if not is_late:
            with pytest.raises(SourcesFailed):
                await count(feed, **given, by="day", exact=True)
            return
        some = await count(feed, **given, by="day", exact=True)
        (source,) = some.sources
        assert (some.relation, source.scanned_to is not None) == ("gte", True)
        assert 1000 <= some.value == true_number(one, {**given, "since": source.scanned_to})


async def test_the_few_events_behind_the_last_page_are_counted_within_the_budget() -> None:
    async with world(subnoto=SubnotoOptions(events=1020)) as one:
        given = window(one, 60, 60)
        totals = await count(one.gateway(), **given, by="day")
        assert (totals.value, totals.relation) == (true_number(one, given), "eq")
        assert one.calls() <= 40


@pytest.mark.parametrize(("given", "most"), [({"by": "day"}, 23), ({"actor.not": "nobody@example.com"}, 15)])
async def test_a_count_of_few_events_takes_few_calls(given: dict[str, Any], most: int) -> None:
    async with world(subnoto=SubnotoOptions(events=3000)) as one:
        feed, within = one.gateway(), window(one, 20, 1)
        await ask(feed, **within)
        one.reset_calls()
        totals = await count(feed, **within, **given)
        assert (totals.value, totals.relation) == (true_number(one, within), "eq")
        assert one.calls() <= most


async def test_a_count_reads_half_a_page_if_a_whole_one_exceeds_the_budget() -> None:
    async with world(subnoto=SubnotoOptions(events=3000)) as one:
        feed, given = one.gateway(), window(one, 60, 40)
        await ask(feed, **given)
        one.reset_calls()
        totals = await count(feed, **given, **{"actor.not": "nobody@example.com"})
        assert (totals.value, totals.relation) == (1500, "gte")
        assert one.calls() <= 40


@pytest.mark.parametrize(
    "given", [{"actor": "a@example.com"}, {"actor": "nobody@example.com", "exact": True}, {"type": "unknown"},
              {"recipient": "r@example.com"}],
)  # fmt: skip
async def test_a_count_with_filters_of_the_gateway_has_no_provider_total(feed: Feed, given: dict[str, Any]) -> None:
    totals = await count(feed, **given)
    assert [(source.provider_total, source.relation) for source in totals.sources] == [(None, "eq")] * 2
    assert (totals.value, totals.relation) == (0, "eq")


async def test_a_count_of_refused_types_has_no_provider_total() -> None:
    """Regression: the count was -359, `eq`: all events before one end minus those of the types before the other."""
    async with world(subnoto=SubnotoOptions(events=600)) as one:
        feed, given = one.gateway(), window(one, 12, 10)
        body = b'{"statusCode": 400, "error": {"code": "INVALID_REQUEST_FORMAT", "message": "eventTypes"}}'
        one.subnoto.faults.answer(400, body=body, path="logs/list")
        for _ in range(2):
            found = (await count(feed, **given, type="recipient.signed")).sources[0]
            assert (found.provider_total, found.relation) == (None, "eq")
            assert found.value == true_number(one, given, provider_type="DOCUMENT_SIGNED")
        exact = await count(feed, **given, type="recipient.signed", exact=True)
        assert (exact.value, exact.relation) == (true_number(one, given, provider_type="DOCUMENT_SIGNED"), "eq")


async def test_unreadable_records_make_a_count_an_estimate() -> None:
    """Regression: forty events were counted, with `exact` too, of which thirty are readable."""
    async with world(subnoto=SubnotoOptions(events=2000, tie_burst=0)) as one:
        affected, unaffected = window(one, 30, 10), window(one, 15, 10)
        since, until = (parse_rfc3339(affected[end]) // 1000 for end in ("since", "until"))
        spoiled: set[int] = set()

        def spoil(response: Any) -> Any:
            for record in response.get("logs", []):
                if since <= record["timestamp"] < until and record["timestamp"] % 4 == 0:
                    spoiled.add(record["timestamp"])
                    record["eventType"] = None
            return response

        with serve(Rewritten(one.subnoto.app, spoil)) as url:
            feed = one.gateway(SUBNOTO_BASE_URL=url)
            listed = await walk(feed, **affected, limits=1000)
            assert len(spoiled) > 10
            for is_cached in (False, True):
                found = (await count(feed, **affected)).sources[0]
                assert (found.value, found.relation) == (len(listed.records), "estimate")
                assert found.cached is is_cached
            exact = await count(feed, **affected, exact=True)
            assert (exact.value, exact.relation) == (len(listed.records), "estimate")
            assert len(listed.records) < true_number(one, affected)
            other = await count(feed, **unaffected)
            assert (other.value, other.relation) == (true_number(one, unaffected), "eq"), "by reading its records"
            edge = {"since": affected["since"], "until": format_micros(min(spoiled) * 1000 + 1)}
            cold = await count(one.gateway(SUBNOTO_BASE_URL=url), **edge)
            assert cold.relation == "estimate", "the pages of the count itself show it"


async def test_concurrent_callers_share_one_count_which_is_cached() -> None:
    async with world(subnoto=SubnotoOptions(events=500)) as one:
        feed = one.gateway()
        first = await count(feed)
        alone = one.calls()
        assert first.sources[0].cached is False
        one.clock.advance(seconds=5)
        others = await asyncio.gather(*(count(feed) for _ in range(20)))
        assert one.calls() == alone
        assert all(totals.sources[0].cached for totals in others)
        assert {totals.sources[0].as_of for totals in others} == {first.sources[0].as_of}
        assert (await count(feed, no_cache=True)).sources[0].cached is False
        again = one.calls() - alone
        assert 0 < again < alone, "a repeated count does not use the known positions"

        one.reset_calls()
        other = one.gateway()
        await asyncio.gather(*(count(other, category="envelope") for _ in range(20)))
        shared = one.calls()
        one.reset_calls()
        await count(one.gateway(), category="envelope")
        assert shared == one.calls()


async def test_the_cache_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert totals_cache._MOST == 8 << 20
    monkeypatch.setattr(totals_cache, "_MOST", 1 << 20)
    cache = TotalsCache(ttl=30, patience=1)

    async def find() -> Groups:
        return Groups(0, "eq", {}, 0)

    for number in range(90):
        types = tuple(f"{number}-{other}".ljust(300, "x") for other in range(50))
        await cache.get(Groups, "subnoto", Query(provider_type=types), (), find, no_cache=False)
    assert 12 < len(cache) < 75, "filters of 15 kB each"


async def test_a_page_includes_its_total_on_request() -> None:
    async with world(subnoto=SubnotoOptions(events=900)) as one:
        feed = one.gateway()
        given = window(one, 30, 20)
        page = await ask(feed, **given, include="total", limit=10)
        assert page.total.value == true_number(one, given)
        following = await ask(feed, cursor=page.next_cursor)
        assert following.total.value == page.total.value
        assert (await ask(feed, **given)).total is None


async def test_a_count_beside_a_cached_total_is_marked_as_cached() -> None:
    """Both have the time of the older one."""
    async with world(subnoto=SubnotoOptions(events=500)) as one:
        feed = one.gateway()
        first = (await count(feed)).sources[0]
        one.clock.advance(seconds=5)
        grouped = (await count(feed, by="type")).sources[0]
        assert (grouped.as_of, grouped.cached) == (first.as_of, True)
