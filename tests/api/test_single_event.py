"""What `GET /events/{event_id}` leaves in the log: the same as a page does."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.api.gateways import app_over, calling, window
from tests.worlds import world

pytestmark = pytest.mark.anyio


def lines(log: io.StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_what_it_cost_at_its_source(log: io.StringIO, source: str) -> None:
    async with (
        world(taktikal=TaktikalOptions(events=60), subnoto=SubnotoOptions(events=60)) as one,
        calling(app_over(one)) as client,
    ):
        page = await client.get("/events", params={"source": source, "limit": "1", **window(one)})
        event = f"/events/{page.json()['data'][0]['id']}"
        one.reset_calls()
        assert (await client.get(event)).status_code == 200
        calls = one.calls()
        emulator = one.taktikal if source == "taktikal" else one.subnoto
        assert emulator is not None
        emulator.faults.answer(400, times=10)
        assert (await client.get(event)).status_code == 502
        assert (await client.get("/events/unknown")).status_code == 404
    found, failed, unknown = lines(log, "request")[1:]
    assert calls >= 1
    assert found["sources"][source]["calls"] == calls
    assert found["sources"][source]["records"] >= 1
    assert list(found["sources"]) == [source]
    assert failed["sources"][source]["calls"] == 1
    assert "sources" not in unknown
    assert [line["sources"] for line in lines(log, "access")[1:]] == [[source], [source], []]
