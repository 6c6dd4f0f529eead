"""Traces of the real command: their spans, without private values, and failures of the collector."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.tracing import ALLOWED, tracing_warnings
from tests.operations.collector import Collector, Span, collecting
from tests.privacy.canary import (
    ALL_PRIVATE,
    ALL_SECRETS,
    EMAILS,
    KEY_LINES,
    LINKS,
    NAMES,
    SECRETS,
    TEXT,
    found_in,
    planted_world,
)
from tests.process import Running, serving
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SINCE = {"since": "2020-01-01"}
ROUNDS = 10


def settings(collector: str, world: World | None = None, **extra: str) -> dict[str, str]:
    return {
        **(world.env if world else {}),
        "GATEWAY_AUTH": "off",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        # FastAPI must not send its own spans and logs, which would contain private values.
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        **extra,
    }


@contextmanager
def traced(path: Path, *arguments: str, **extra: str) -> Iterator[tuple[Running, World, Collector]]:
    """Run a gateway over both emulators and a collector. All spans have been sent when the block ends."""
    with (
        served_world(TaktikalOptions(events=120), SubnotoOptions(events=120)) as world,
        collecting() as collector,
        serving(*arguments, cwd=path, env=settings(collector.url, world, **extra)) as gateway,
    ):
        yield gateway, world, collector
        gateway.stop()
        assert gateway.code == 0
        assert set(collector.paths) <= {"/v1/traces"}
        assert {name for span in collector.spans for name in span.attributes} <= ALLOWED


def children_of(spans: list[Span], parent: Span) -> list[Span]:
    return [span for span in spans if (span.trace, span.parent) == (parent.trace, parent.id)]


def requests(gateway: Running) -> list[dict[str, Any]]:
    return [line for line in gateway.log if line["event"] == "request"]


def test_spans_of_a_request_and_its_calls(tmp_path: Path) -> None:
    extra = {"OTEL_SERVICE_NAME": "gateway-in-a-test", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    with traced(tmp_path, **extra) as (gateway, world, collector):
        world.taktikal.faults.answer(503)
        headers = {"traceparent": CALLER, "x-request-id": "one-of-mine"}
        response = httpx.get(f"{gateway.url}/events", params=SINCE | {"limit": "5"}, headers=headers, timeout=30)
        assert response.status_code == 200
    (server,) = [span for span in collector.spans if span.kind == "server"]
    assert f"00-{server.trace}-{server.parent}-01" == CALLER
    assert server.name == "GET /events"
    assert server.attributes["http.route"] == "/events"
    assert server.attributes["http.response.status_code"] == 200
    assert server.resource["service.name"] == "gateway-in-a-test"
    assert server.resource["deployment.environment.name"] == "test"
    calls = children_of(collector.spans, server)
    assert {call.kind for call in calls} == {"client"}
    assert len(calls) == len(collector.spans) - 1 == world.calls()
    assert [call.attributes["http.response.status_code"] for call in calls if call.failed] == [503]
    (line,) = requests(gateway)
    (audit,) = [line for line in gateway.log if line["event"] == "access"]
    assert line["trace_id"] == audit["trace_id"] == server.trace
    assert line["span_id"] == audit["span_id"] == server.id


def test_spans_of_every_kind_of_request(tmp_path: Path) -> None:
    with traced(tmp_path, "--workers", "2") as (gateway, world, collector), httpx.Client(timeout=30) as client:
        get = lambda path, **params: client.get(gateway.url + path, params=params)  # noqa: E731
        event = get("/events", limit="1", **SINCE).json()["data"][0]["id"]
        assert get(f"/events/{event}").status_code == 200
        assert get("/events/export", **SINCE).status_code == 200
        assert get("/no/such/path").status_code == 404
        world.subnoto.faults.answer(500, times=9)
        assert get("/events", source="subnoto", category="team", **SINCE).status_code == 502
        world.subnoto.faults.clear()
    servers = [span for span in collector.spans if span.kind == "server"]
    assert {span.name for span in servers} >= {"GET /events", "GET /events/{event_id}", "GET /events/export", "GET"}
    assert not any("such" in span.name for span in servers)
    assert len({span.trace for span in servers}) == len(servers)
    (failed,) = [span for span in servers if span.failed]
    assert len(children_of(collector.spans, failed)) == 3, "one span per attempt"
    assert not any(span.message for span in collector.spans)


def test_polls_of_a_stream_are_not_in_its_trace(tmp_path: Path) -> None:
    with (
        traced(tmp_path, GATEWAY_STREAM_POLL="0.1") as (gateway, _world, collector),
        httpx.stream("GET", f"{gateway.url}/events/stream", params=SINCE, timeout=30) as response,
    ):
        lines = response.iter_lines()
        while not next(lines).startswith("data: "):
            pass
        collector.until(lambda spans: len({span.trace for span in spans}) >= 4)
    (server,) = [span for span in collector.spans if span.kind == "server"]
    assert server.name == "GET /events/stream"


def test_spans_contain_no_secret_and_no_personal_data(tmp_path: Path) -> None:
    planted = [*ALL_PRIVATE, *ALL_SECRETS, *NAMES, *EMAILS, *LINKS]
    own = {name: value for name, value in SECRETS.items() if name.isupper()}
    extra = {
        **own, "GATEWAY_AUTH": "on", "GATEWAY_API_KEYS": KEY_LINES,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={SECRETS['TAKTIKAL_API_KEY']}",
    }  # fmt: skip
    with planted_world() as world, collecting() as collector:
        env = settings(collector.url, world, **extra)
        with serving(cwd=tmp_path, env=env) as gateway, httpx.Client(base_url=gateway.url, timeout=30) as client:
            statuses = [response.status_code for response in exercise(client, world)]
            gateway.stop()
        log = gateway.errors.read_text()
    assert {200, 401, 404, 422, 502} <= set(statuses)
    assert len(collector.spans) > 100
    everything = b"\n".join(collector.bodies).decode("utf-8", "replace")
    assert "GET /events/{event_id}" in everything
    assert not found_in(everything, planted)
    assert not found_in(log, planted)


def exercise(client: httpx.Client, world: World) -> Iterator[httpx.Response]:
    """Send private values in every part of a request, and let providers quote them."""
    for caller in ("key", "plain key"):
        client.headers["authorization"] = f"Bearer {SECRETS[caller]}"
        events = client.get("/events", params=SINCE | {"include": "raw"})
        yield events
        yield client.get(f"/events/{events.json()['data'][0]['id']}")
        for value in (EMAILS[0], NAMES[0], ALL_PRIVATE[0]):
            for name in ("q", "actor", "recipient", "owner", "envelope_id", "nonsense"):
                yield client.get("/events", params=SINCE | {name: value})
            yield client.get("/events/count", params=SINCE | {"q": value})
            yield client.get("/events/export", params=SINCE | {"q": value})
            yield client.get(f"/events/{value}")
            yield client.get(f"/nowhere/{value}")
            headers = {name: value.encode().hex() for name in ("tracestate", "baggage")}
            odd = {
                "tracestate": f"a={EMAILS[0]}", "baggage": f"a={EMAILS[0]}", "user-agent": EMAILS[0], "host": EMAILS[0],
                "traceparent": CALLER,
            }  # fmt: skip
            yield client.get("/events", headers=headers | odd)
    for emulator in (world.taktikal, world.subnoto):
        for status in (400, 401, 404, 500):
            emulator.faults.answer(status, {"x-request-id": EMAILS[0]}, times=4, body=json.dumps(TEXT).encode())
            yield client.get("/events", params=SINCE)
            emulator.faults.clear()
        emulator.faults.malformed(times=2)
        yield client.get("/events", params=SINCE)
        emulator.faults.clear()
    yield client.get("/events", headers={"authorization": f"Bearer {SECRETS['key']}x"})


@contextmanager
def unresponsive_port(*, listening: bool) -> Iterator[str]:
    """The address of a closed port, or of one that accepts connections and never responds."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listening:
            taken.listen(16)
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_an_unreachable_collector_changes_no_response(tmp_path: Path) -> None:
    targets = ["/events?since=2020-01-01&limit=50", "/events/count?since=2020-01-01", "/events/unknown"]

    def read_responses(url: str) -> list[Any]:
        results = []
        with httpx.Client(base_url=url, timeout=30) as client:
            for path in targets * ROUNDS:
                response = client.get(path)
                body = response.json()
                results.append((response.status_code, body.get("data"), body.get("value"), body.get("code")))
        return results

    with served_world(TaktikalOptions(events=60), SubnotoOptions(events=60)) as world:
        with serving(cwd=tmp_path, env={**world.env, "GATEWAY_AUTH": "off"}) as plain:
            untraced = read_responses(plain.url)
        assert not any("trace_id" in line for line in plain.log)
        for listening in (False, True):
            with unresponsive_port(listening=listening) as collector:
                env = settings(collector, world, OTEL_EXPORTER_OTLP_TIMEOUT="0.3", OTEL_BSP_MAX_QUEUE_SIZE="64",
                               OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8")  # fmt: skip
                with serving(cwd=tmp_path, env=env) as gateway:
                    assert read_responses(gateway.url) == untraced
                    gateway.stop()
                assert gateway.code == 0
            events = [line["event"] for line in gateway.log]
            assert events.count("traces_not_delivered") == 1
            assert events.count("request") == len(targets) * ROUNDS
            # Other lines report a full queue, or spans that could not be sent at the end.
            others = set(events) - {"request", "access", "configuration", "traces_not_delivered"}
            assert others <= {"Queue full, dropping Span.", "traces_not_flushed"}


def test_disabled_traces_need_no_setting() -> None:
    wrong = {"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"}
    assert len(tracing_warnings(wrong)) == 1
    for off in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        assert tracing_warnings(wrong | off) == tracing_warnings({}) == []


NO_SDK = """
import sys

ABSENT = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.semconv", "opentelemetry.proto")

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(ABSENT):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_the_core_needs_no_sdk(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_SDK)
    env = {"PYTHONPATH": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with serving("--sandbox", "--sandbox-events", "20", cwd=tmp_path, env=env) as gateway:
        headers = {"authorization": "Bearer sandbox"}
        response = httpx.get(f"{gateway.url}/events", params=SINCE, headers=headers, timeout=30)
        assert response.status_code == 200
        assert response.json()["data"]
    assert gateway.code == 0
    (problem,) = [line["problem"] for line in gateway.log if line["event"] == "configuration"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in problem
    assert "pip install '.[otel]'" in problem
    assert not any("trace_id" in line for line in gateway.log)


@pytest.mark.parametrize(
    ("variable", "value", "events"),
    [("OTEL_TRACES_SAMPLER", "always_off", []), ("OTEL_BSP_MAX_QUEUE_SIZE", "-3", ["traces_off"])],
)
def test_unsampled_or_invalid_sends_no_trace(tmp_path: Path, variable: str, value: str, events: list[str]) -> None:
    with traced(tmp_path, **{variable: value}) as (gateway, _world, collector):
        assert httpx.get(f"{gateway.url}/events", params=SINCE, timeout=30).status_code == 200
    assert collector.paths == []
    (line,) = requests(gateway)
    # An unsampled trace has an id, too, for the lines of other services.
    assert ("trace_id" in line) == (variable == "OTEL_TRACES_SAMPLER")
    assert [line["event"] for line in gateway.log if line["event"].startswith("traces")] == events
