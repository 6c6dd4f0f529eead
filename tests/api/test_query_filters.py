"""Durations, `person`, exclusions and warnings, judged against all events of two sources in memory."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.api.conftest import opened

pytestmark = pytest.mark.anyio


async def ids(client: httpx.AsyncClient, **given: Any) -> list[str]:
    answer = await client.get("/events", params={"limit": 1000, **given})
    assert answer.status_code == 200, answer.text
    return [event["id"] for event in answer.json()["data"]]


@pytest.mark.parametrize("key", ["key-of-all-scopes", "reader"])
async def test_exclusions_leave_exactly_the_rest(application: FastAPI, key: str) -> None:
    async with opened(application, key) as client:
        events = (await client.get("/events?limit=1000")).json()["data"]
        fields = {"type": "type", "provider_type": "provider_type", "category": "category", "source": "source"}
        for name, field in fields.items():
            values = sorted({event[field] for event in events})
            for value in values[:-1] or ():
                wanted = [event["id"] for event in events if event[field] != value]
                assert await ids(client, **{f"{name}.not": value}) == wanted
                assert await ids(client, **{name: value, f"{name}.not": "other" if name != "source" else "zzz"}) == [
                    event["id"] for event in events if event[field] == value
                ]
        prefix = events[0]["type"].partition(".")[0]
        wanted = [event["id"] for event in events if not event["type"].startswith(f"{prefix}.")]
        assert await ids(client, **{"type.not": f"{prefix}.*"}) == wanted
        people = sorted({event["actor"]["email"] for event in events if event["actor"]["email"]})
        wanted = [event["id"] for event in events if event["actor"]["email"] != people[0]]
        assert await ids(client, **{"actor.not": people[0].upper()}) == wanted
        wanted = [event["id"] for event in events if people[0] in addresses(event) or people[0] in names(event)]
        assert wanted
        assert await ids(client, person=people[0].upper()) == wanted


def addresses(event: dict[str, Any]) -> set[str | None]:
    parts = [event["actor"], event["recipient"] or {}, event.get("target") or {}]
    return {part.get("email") for part in parts} | {(event["envelope"] or {}).get("owner")}


def names(event: dict[str, Any]) -> str:
    parts = [event["actor"], event["recipient"] or {}, event.get("target") or {}]
    return "\n".join(part.get("name") or "" for part in parts).lower()


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


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("type=a,b", "type=a&type=b"), ("category=envelope,team", "without a comma"), ("envelope_id=a,b", "repeat it"),
        ("envelope_id={a}", "braces"), ("envelope_id=%20a", "blanks"), ("recipient=a%20", "blanks"),
        ("actor=anna+home@example.com", "%2B"), ("owner=a%C2%A0@example.com", "%2B"), ("person=a+b@example.com", "%2B"),
        ("workspace_id={a}", "braces"), ("source=%20north", "blanks"), ("type=%20recipient.signed", "blanks"),
        ("actor.not=a+b@example.com", "%2B"),
    ],
)  # fmt: skip
async def test_a_value_that_cannot_be_meant_is_refused_with_the_remedy(
    client: httpx.AsyncClient, given: str, remedy: str
) -> None:
    refused = await client.get(f"/events?{given}")
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert error["parameter"] == given.partition("=")[0]
    assert remedy in error["message"]
