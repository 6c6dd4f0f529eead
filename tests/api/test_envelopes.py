"""`GET /envelopes/{envelope_id}`: every event of one envelope, and what follows from them, as its caller may see it."""

import io
from collections import defaultdict
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.schemas import EnvelopeStory
from app.domain.errors import SourceUnavailable
from app.feed import envelopes
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.conftest import opened
from tests.api.gateways import app_over, window
from tests.api.memory import NATIONAL_ID, PHONE, MemoryRecord, MemorySource
from tests.api.shapes import assert_shape
from tests.logged import lines
from tests.worlds import world


async def test_the_same_events_as_the_feed_of_both_vendors() -> None:
    async with (
        world(taktikal=TaktikalOptions(events=300), subnoto=SubnotoOptions(events=300)) as one,
        opened(app_over(one)) as client,
    ):
        feed = (await client.get("/events", params={"limit": "1000", "order": "asc", **window(one, 400)})).json()
        by_envelope: dict[str, list[Any]] = defaultdict(list)
        for event in feed["data"]:
            if event["envelope"]:
                by_envelope[event["envelope"]["id"]].append(event)
        seen = set()
        for envelope_id, events in sorted(by_envelope.items(), key=lambda pair: -len(pair[1]))[:40:4]:
            answer = await client.get(f"/envelopes/{envelope_id}")
            body = answer.json()
            assert_shape(body, EnvelopeStory)
            assert answer.headers["cache-control"] == "no-store"
            assert body["events"] == events
            assert (body["source"], body["envelope"]["id"]) == (events[0]["source"], envelope_id)
            assert not body["has_more"]
            assert body["complete_through"]
            named = {e["recipient"]["id"] or e["recipient"]["email"] for e in events if e["recipient"]}
            assert named <= {found for one in body["recipients"] for found in (one["id"], one["email"])}
            signed = [e["occurred_at"] for e in events if e["type"] == "recipient.signed"]
            assert sorted(one["signed_at"] for one in body["recipients"] if one["signed_at"]) == signed
            seen.add((body["provider"], body["status"]))
        assert len({provider for provider, _ in seen}) == 2
        assert "completed" in {status for _, status in seen}


async def test_masked_like_every_other_answer(application: FastAPI, log: io.StringIO) -> None:
    async with opened(application, "reader") as client:
        masked = await client.get("/envelopes/e3?source=north")
        page = await client.get("/events?envelope_id=e3&source=north&order=asc")
    assert masked.json()["events"] == page.json()["data"]
    assert PHONE not in masked.text
    assert NATIONAL_ID not in masked.text
    (recipient,) = masked.json()["recipients"]
    assert (recipient["email"], recipient["phone"], recipient["national_id"]) == ("jonas@example.com", "***", "***")
    assert lines(log)[0]["sources"]["north"]["records"] == 3
    access = lines(log, "access")[0]
    assert (access["route"], access["events"], access["sources"]) == ("/envelopes/{envelope_id}", 3, ["north"])
    assert access["envelope_id"] != "e3"


async def test_which_envelope_is_meant(client: httpx.AsyncClient, sources: list[MemorySource]) -> None:
    calls = {
        "/envelopes/e3": (422, "source: must be named: north and south have an envelope with this id"),
        "/envelopes/e9": (200, None),  # only north is that long
        "/envelopes/none": (404, "no source has an envelope with this id"),
        "/envelopes/e9?source=south": (404, "no source has an envelope with this id"),
        "/envelopes/e3?source=west": (422, "source: no source has the name 'west'; there are north, south"),
        "/envelopes/a,b": (422, None),
        "/envelopes/%7Be3%7D": (422, None),
        "/envelopes/e3?sources=north": (422, None),
        "/envelopes/e3?source=north&source=south": (422, "source: may be given only once"),
    }
    for path, (status, detail) in calls.items():
        for suffix in ("", "/report"):
            route, _, query = path.partition("?")
            answer = await client.get(f"{route}{suffix}?{query}")
            assert answer.status_code == status, path
            assert detail is None or answer.json()["detail"] == detail, path
    limited = {"Authorization": "Bearer limited"}
    assert (await client.get("/envelopes/e3", headers=limited)).json()["source"] == "north"
    assert (await client.get("/envelopes/e3?source=south", headers=limited)).status_code == 403
    assert (await client.get("/envelopes/e3", headers={"Authorization": "Bearer nothing"})).status_code == 403
    sources[1].error = SourceUnavailable("is away")
    assert (await client.get("/envelopes/e9")).status_code == 503
    assert (await client.get("/envelopes/e9?source=north")).status_code == 200


async def test_an_envelope_of_unreadable_records_is_a_failure_not_unknown(
    client: httpx.AsyncClient, sources: list[MemorySource]
) -> None:
    sources[0].records, sources[0].bad_records = [], 1
    for path in ("/envelopes/e7?source=north", "/envelopes/e7/report?source=north"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (502, "source_failed")
        assert answer.json()["detail"] == "north: none of the envelope's records can be read"


async def test_a_long_envelope_is_read_in_pages_up_to_a_limit(
    client: httpx.AsyncClient, sources: list[MemorySource], monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(number: int) -> MemoryRecord:
        found = MemoryRecord("north", number)
        found.number = 21  # e7
        return found

    sources[0].records = [record(number) for number in range(2500)]
    sources[0].bad_records = 2
    body = (await client.get("/envelopes/e7")).json()
    assert (len(body["events"]), body["has_more"]) == (2500, False)
    assert body["sources"][0]["reason"] == "2 records that cannot be read are left out"
    monkeypatch.setattr(envelopes, "MOST_PAGES", 2)
    body = (await client.get("/envelopes/e7")).json()
    assert (len(body["events"]), body["has_more"]) == (2000, True)
    assert body["complete_through"] == "2026-05-02T09:19:00Z"
