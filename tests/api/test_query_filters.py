"""Durations, `person`, exclusions and warnings, judged against all events of two sources in memory."""

import httpx
import pytest


async def test_a_duration_is_pinned_and_may_be_repeated_beside_the_cursor(client: httpx.AsyncClient) -> None:
    first = (await client.get("/events?since=P36500D&until=1s&limit=3")).json()
    cursor = first["page"]["next_cursor"]
    again = await client.get(f"/events?since=P36500D&until=1s&cursor={cursor}")
    assert again.json()["window"] == first["window"]
    other = await client.get(f"/events?since=P36499D&cursor={cursor}")
    assert other.json()["code"] == "cursor_mismatch"
    for text in ("P", "PT", "P1M", "0d", "7", "P-1D", "99999999w", "7 d"):
        refused = (await client.get("/events", params={"since": text})).json()
        assert refused["errors"][0]["parameter"] == "since", text


@pytest.mark.parametrize(
    ("given", "nearest"),
    [("type=envelope.veiwed", "envelope.viewed"), ("type.not=envelope.veiwed", "envelope.viewed"),
     ("category=envelop", "envelope"), ("source.not=nort", "north")],
)  # fmt: skip
async def test_a_value_that_can_match_nothing_is_warned_of(client: httpx.AsyncClient, given: str, nearest: str) -> None:
    page = (await client.get(f"/events?{given}")).json()
    good = (await client.get("/events?type=envelope.viewed")).json()
    (warning,) = page["warnings"]
    name, _, value = given.partition("=")
    assert (warning["parameter"], warning["value"], warning["nearest"]) == (name, value, nearest)
    assert f"did you mean {nearest}?" in warning["message"]
    assert good["warnings"] == []


async def test_a_window_in_the_future_is_warned_of(client: httpx.AsyncClient) -> None:
    page, count = [
        (await client.get(f"/events{path}?since=2999-01-01&until=2999-02-01")).json() for path in ("", "/count")
    ]
    assert (await client.get("/events?since=1s&until=2999-02-01")).json()["warnings"] == []
    assert page["warnings"] == count["warnings"]
    assert [(one["parameter"], one["message"]) for one in page["warnings"]] == [
        ("since", "2999-01-01T00:00:00Z is in the future")
    ]
