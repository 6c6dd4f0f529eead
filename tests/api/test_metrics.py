"""`GET /metrics`: correct counts, and labels that no caller can add to."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.api.metrics import MULTIPROCESS_VARIABLE, Metrics
from app.api.request_log import RequestLog
from app.domain.errors import SourceTimeout
from tests.api.memory import MemorySource
from tests.process import serving

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted(labels.items()))


async def scrape(client: httpx.AsyncClient) -> Samples:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(response.text)


async def test_requests_events_and_totals_are_counted(client: httpx.AsyncClient, sources: list[MemorySource]) -> None:
    page = (await client.get("/events?limit=40")).json()
    await client.get(f"/events/{page['data'][0]['id']}")
    await client.get("/events/count")
    await client.get("/events/count")
    await client.get("/events?limit=x")
    await client.get("/health/live")
    sources[0].error = SourceTimeout("no answer")
    await client.get("/events")
    found = await scrape(client)
    of = {name: sum(event["source"] == name for event in page["data"]) for name in ("north", "south")}
    of[page["data"][0]["source"]] += 1
    for name, count in of.items():
        assert found[labelled("gateway_events_delivered_total", source=name)] == count
        assert found[labelled("gateway_totals_total", source=name, outcome="miss")] == 1
        assert found[labelled("gateway_totals_total", source=name, outcome="hit")] == 1
    for route, status, count in (
        ("/events", "200", 1),
        ("/events", "422", 1),
        ("/events", "504", 1),
        ("/events/{event_id}", "200", 1),
        ("/events/count", "200", 2),
        ("/health/live", "200", 1),
    ):
        assert found[labelled("gateway_requests_total", method="GET", route=route, status=status)] == count
    assert found[labelled("gateway_request_seconds_count", route="/events")] == 3
    assert found[labelled("gateway_requests_under_way", kind="probes")] == 1, "this scrape"
    assert labelled("process_open_fds") in found


async def test_callers_cannot_add_labels(client: httpx.AsyncClient) -> None:
    before = None
    for number in range(20):
        await client.request(f"X{number}", "/events")
        await client.get(f"/nowhere/{number}")
        await client.get(f"/events/id{number}")
        await client.get(f"/docs/{number}")
        await client.get("/health/live", headers={"X-Request-ID": str(number), "Host": f"h{number}"})
        await client.get(f"/sources?p{number}=1")
        if number == 1:
            before = set(await scrape(client))
    after = set(await scrape(client))
    assert before is not None
    new = {name for name in after - before if "/metrics" not in str(name)}
    assert not new


def test_notifications_of_the_observer_are_counted() -> None:
    metrics = Metrics()
    metrics.on_circuit("north", "closed")
    metrics.on_call("north", "200", 0.2)
    metrics.on_call("north", "timeout", 20)
    for strange in ("999", "7000", "²"):
        metrics.on_call("north", strange, 0.1)
    metrics.on_retry("north", "503")
    metrics.on_refused("north", "circuit_open")
    metrics.on_bad_records("north", 3)
    metrics.on_circuit("north", "open")
    found = parse(metrics.exposition().decode())
    assert found[labelled("gateway_source_calls_total", source="north", outcome="200")] == 1
    assert found[labelled("gateway_source_calls_total", source="north", outcome="timeout")] == 1
    assert found[labelled("gateway_source_calls_total", source="north", outcome="other")] == 3
    assert found[labelled("gateway_source_call_seconds_count", source="north")] == 5
    assert found[labelled("gateway_source_retries_total", source="north", reason="503")] == 1
    assert found[labelled("gateway_source_refused_total", source="north", reason="circuit_open")] == 1
    assert found[labelled("gateway_bad_records_total", source="north")] == 3
    states = {state: found[labelled("gateway_source_circuit", source="north", state=state)] for state in STATES}
    assert states == {"closed": 0, "open": 1, "half_open": 0}


STATES = ("closed", "open", "half_open")


def test_a_request_without_a_response_is_counted() -> None:
    metrics = Metrics()
    metrics.under_way("streams").inc()
    metrics.end_request("streams", "GET", "/events", 0, 1.5, RequestLog("id"))
    found = parse(metrics.exposition().decode())
    assert found[labelled("gateway_requests_total", method="GET", route="/events", status="hung_up")] == 1
    assert found[labelled("gateway_requests_under_way", kind="streams")] == 0


def test_only_counters_of_an_ended_process_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MULTIPROCESS_VARIABLE, str(tmp_path))
    for name in ("gauge_livesum_999999999.db", "counter_999999999.db"):
        (tmp_path / name).write_bytes(bytes(64))
    metrics = Metrics()
    assert metrics.exposition() == b""
    assert [file.name for file in tmp_path.iterdir()] == ["counter_999999999.db"], "its counters stay"


def test_each_worker_reports_the_metrics_of_all(tmp_path: Path) -> None:
    key = {"X-API-Key": "sandbox"}
    with serving("--sandbox", "--sandbox-events", "50", "--workers", "2", cwd=tmp_path) as gateway:

        async def many() -> None:
            async def one() -> None:
                async with httpx.AsyncClient(timeout=60) as client:
                    assert (await client.get(f"{gateway.url}/events?limit=1", headers=key)).status_code == 200

            await asyncio.gather(*(one() for _ in range(20)))

        asyncio.run(many())
        texts = [httpx.get(f"{gateway.url}/metrics", headers=key, timeout=60).text for _ in range(8)]
    for text in texts:
        found = parse(text)
        assert found[labelled("gateway_requests_total", method="GET", route="/events", status="200")] == 20
        delivered = [value for (name, _), value in found.items() if name == "gateway_events_delivered_total"]
        assert sum(delivered) == 20
        calls = {labels: value for (name, labels), value in found.items() if name == "gateway_source_calls_total"}
        assert {dict(labels)["outcome"] for labels in calls} == {"200"}
        assert len({dict(labels)["source"] for labels in calls}) >= 2
        circuits = [value for (name, labels), value in found.items() if name == "gateway_source_circuit"]
        assert sum(circuits) >= 2
    assert not re.search(r"sandbox-access-key|sandbox-company", texts[0])
