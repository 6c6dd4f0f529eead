"""Windows to the microsecond, and parameters that a source has no notion of (contract, section 3)."""

import itertools
import random
from contextlib import suppress

import pytest

from app.domain.errors import ParameterError
from app.domain.times import format_micros
from tests.filters.conftest import DAY, UNKNOWN_UUID
from tests.filters.facts import Fact
from tests.worlds import World, ask


@pytest.mark.parametrize(
    ("given", "skipped"),
    [
        ({"workspace_id": UNKNOWN_UUID}, "taktikal"), ({"flow_id": "3fc7848d338a"}, "subnoto"),
        ({"flow_type": "DropAndSign"}, "subnoto"), ({"envelope_status": "active"}, "subnoto"),
        ({"owner": "anna@example.com"}, "subnoto"),
    ],
    ids=str,
)  # fmt: skip
async def test_a_parameter_without_notion_skips_the_source(mixed: World, given: dict[str, str], skipped: str) -> None:
    feed = mixed.gateway()
    mixed.reset_calls()
    page = await ask(feed, **given)
    (name,) = given
    by_name = {status.name: status for status in page.sources}
    assert by_name[skipped].status == "skipped"
    assert name in (by_name[skipped].reason or "")
    assert by_name[skipped].complete_through is None
    assert by_name[skipped].calls == 0
    (other,) = set(by_name) - {skipped}
    assert by_name[other].status == "ok"
    for asked in ({"source": skipped}, {"source": [skipped, other]}, {"provider": skipped}):
        with pytest.raises(ParameterError) as error:
            await ask(feed, **given, **asked)
        assert error.value.code == "filter_not_applicable"
        assert error.value.errors[0][0] == name
    await feed.aclose()


async def test_filters_that_exclude_every_source_are_all_named(mixed: World) -> None:
    feed = mixed.gateway()
    with pytest.raises(ParameterError) as error:
        await ask(feed, flow_id="3fc7848d338a", workspace_id=UNKNOWN_UUID)
    assert {name for name, _ in error.value.errors} == {"flow_id", "workspace_id"}
    await feed.aclose()


@pytest.mark.parametrize(
    ("given", "parameter"), [({"source": "nowhere"}, "source"), ({"provider": "docusign"}, "provider")]
)
async def test_an_unknown_source_or_provider_is_named(mixed: World, given: dict[str, str], parameter: str) -> None:
    feed = mixed.gateway()
    with pytest.raises(ParameterError) as error:
        await ask(feed, **given)
    assert [name for name, _ in error.value.errors] == [parameter]
    await feed.aclose()


@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_since_is_inclusive_and_until_exclusive_to_the_microsecond(
    mixed: World, known: list[Fact], source: str
) -> None:
    feed = mixed.gateway()
    own = [f for f in known if f.source == source]
    # In the midst of ties, twins and bursts, and at lone events.
    times = {f.time for f, g in itertools.pairwise(own) if f.time == g.time}
    rng = random.Random(5)
    for since in [*rng.sample(sorted(times), 3), own[len(own) // 2].time]:
        for shift in (-1, 0, 1):
            begin = since + shift
            until = begin + 3 * 3_600_000_000
            page = await ask(feed, since=format_micros(begin), until=format_micros(until), source=source, limit=1000)
            assert [r.key[0] for r in page.records] == [f.time for f in own if begin <= f.time < until][::-1]
            early = await ask(
                feed, since=format_micros(begin - DAY), until=format_micros(begin), source=source, limit=1000
            )
            expected = [f.time for f in own if begin - DAY <= f.time < begin]
            assert [r.key[0] for r in early.records] == expected[::-1]
            moment = await ask(feed, since=format_micros(begin), until=format_micros(begin + 1), source=source)
            assert [r.key[0] for r in moment.records] == [f.time for f in own if f.time == begin][::-1]
    await feed.aclose()
    assert mixed.refused() == []


async def test_only_until_is_the_thirty_days_before_it(mixed: World) -> None:
    feed = mixed.gateway()
    page = await ask(feed, until="2026-05-01T02:00:00+02:00")
    assert format_micros(page.window.until or 0) == "2026-05-01T00:00:00.000000Z"
    assert page.window.since == (page.window.until or 0) - 30 * DAY
    await feed.aclose()


@pytest.mark.parametrize(
    "edge",
    [
        {"since": "0001-01-01T00:00:00Z", "until": "1950-01-01"},
        {"since": "0001-01-01T00:00:00+14:00", "until": "0001-01-02"},
        {"until": "9999-12-31T23:59:59.999999Z"},
        {"since": "2026-05-31", "until": "9999-12-31T23:59:59-14:00"},
        {"since": "9999-12-31T23:59:59.9Z", "until": "9999-12-31T23:59:59.99Z"},
    ],
    ids=str,
)
async def test_the_edges_of_the_calendar(mixed: World, edge: dict[str, str]) -> None:
    """Any valid date-time is a window or a parameter error, never a crash."""
    feed = mixed.gateway()
    for order in ("asc", "desc"):
        with suppress(ParameterError):
            page = await ask(feed, order=order, limit=5, **edge)
            assert format_micros(page.window.since)
            assert format_micros(page.window.until or 0)
    await feed.aclose()
    assert mixed.refused() == []
