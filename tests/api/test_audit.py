"""The audit trail: one line per request on its own logger, without personal data."""

import io
import logging

import httpx
import pytest

from app.api.request_log import AuditTrail, RequestLog
from app.domain.errors import SourceFailed
from app.logs import AUDIT
from app.privacy.pseudonyms import Pseudonyms
from tests.api.conftest import ALL, bearer, make_app, opened
from tests.api.gateways import app_over
from tests.api.memory import NATIONAL_ID, PHONE, MemorySource
from tests.logged import lines
from tests.worlds import SubnotoOptions, TaktikalOptions, window, world

SECRET = "an identity secret of thirty-two characters"


async def test_an_access_line_has_caller_filters_and_outcome(sources: list[MemorySource], log: io.StringIO) -> None:
    app = make_app(sources, identity_secret=SECRET)
    query = (
        "since=2026-05-01&until=2027-01-01T00:00:00%2B02:00&limit=5&order=asc&source=north&type=envelope.*"
        "&actor=Anna@Example.com&q=lease&include=raw&partial=true&provider_type=OPENED&envelope_id=e1"
    )
    async with opened(app) as client:
        response = await client.get(f"/events?{query}", headers={"X-Request-ID": "mine"})
    (line,) = lines(log, "access")
    assert line["logger"] == AUDIT
    assert len(response.json()["data"]) == line["events"]
    assert {name: line[name] for name in ("event", "level", "caller", "route", "request_id", "outcome", "status")} == {
        "event": "access", "level": "info", "caller": "all", "route": "/events", "request_id": "mine",
        "outcome": "allowed", "status": 200,
    }  # fmt: skip
    names = Pseudonyms(SECRET)
    assert line["filters"] == {
        "since": ["2026-05-01T00:00:00.000000Z"], "until": ["2026-12-31T22:00:00.000000Z"], "limit": ["5"],
        "order": ["asc"], "source": ["north"], "type": ["envelope.*"], "actor": [names.of("anna@example.com")],
        "q": [names.of("LEASE")], "include": ["raw"], "partial": ["true"], "provider_type": ["OPENED"],
        "envelope_id": [names.of("e1")],
    }  # fmt: skip
    assert line["sources"] == ["north"]
    assert line["timestamp"]


async def test_the_access_line_of_a_count_names_its_sources(sources: list[MemorySource], log: io.StringIO) -> None:
    async with opened(make_app(sources)) as client:
        for _ in range(2):  # counted, then cached
            assert (await client.get("/events/count?source=north")).status_code == 200
    assert [line["sources"] for line in lines(log, "access")] == [["north"], ["north"]]


async def test_each_outcome_of_a_request_has_its_access_line(
    client: httpx.AsyncClient, sources: list[MemorySource], log: io.StringIO
) -> None:
    page = (await client.get("/events?limit=1")).json()
    await client.get(f"/events/{page['data'][0]['id']}")
    await client.get("/events", headers=bearer("wrong"))
    await client.get("/sources", headers=bearer("reader"))
    await client.get("/events?nonsense=1")
    sources[0].error = SourceFailed("no")
    await client.get("/events")
    await client.get(f"/events?cursor={page['page']['next_cursor']}")
    for path in (
        "/",
        "/health/live",
        "/docs",
        "/openapi.json",
        "/nowhere",
        "/docs/x",
        "/ui",
        "/ui/setup.js",
        "/ui/app.js",
    ):
        await client.get(path)
    trail = lines(log, "access")
    assert [(line["route"], line["outcome"], line["events"], line["code"], line["caller"]) for line in trail] == [
        ("/events", "allowed", 1, None, "all"),
        ("/events/{event_id}", "allowed", 1, None, "all"),
        ("/events", "denied", 0, "unauthenticated", None),
        ("/sources", "denied", 0, "forbidden", "reader"),
        ("/events", "refused", 0, "unknown_parameter", "all"),
        ("/events", "failed", 0, "source_failed", "all"),
        ("/events", "failed", 0, "source_failed", "all"),
    ]
    assert trail[1]["event_id"].startswith("~")
    assert trail[4]["filters"] == {"?": ["unknown"]}
    assert trail[6]["filters"] == {"cursor": ["given"]}


async def test_log_lines_contain_no_personal_values(client: httpx.AsyncClient, log: io.StringIO) -> None:
    planted = [PHONE.lstrip("+"), NATIONAL_ID, "Jonas", "jonas@example.com"]
    parameters = [
        "since", "until", "source", "provider", "category", "type", "provider_type", "envelope_id", "workspace_id",
        "flow_id", "flow_type", "envelope_status", "owner", "actor", "recipient", "q", "order", "limit", "cursor",
        "include", "partial", "follow", "exact", "nonsense",
    ]  # fmt: skip
    for value in planted:
        for name in parameters:
            await client.get("/events", params={name: value})
            await client.get("/events/count", params=[(name, value), (name, value)])
        await client.get("/events", params={value: "1"})
        await client.get(f"/events/{value}")
        await client.get("/events", headers={"X-Request-ID": f"{value}!", "User-Agent": value, "Referer": value})
        await client.get("/events", headers={"Authorization": f"Bearer {value}"})
    text = log.getvalue()
    assert len(lines(log, "access")) > len(planted) * len(parameters)
    for value in [*planted, ALL]:
        assert value.casefold() not in text.casefold()


def test_unreadable_and_long_queries_are_summarized() -> None:
    trail = AuditTrail(Pseudonyms(SECRET))
    assert trail.filters({"query_string": b"\xff=1"}) == {"?": ["unreadable"]}
    assert trail.filters({"query_string": b"q=%ff"}) == {"?": ["unreadable"]}
    filters = trail.filters({"query_string": b"&".join(b"q=x" for _ in range(50))})
    assert (len(filters["q"]), filters["?"]) == (40, ["10 more"])


def test_access_records_reach_other_logging_handlers(log: io.StringIO) -> None:
    """The logger is the standard library's; the fields are in the attribute `audit` of its records."""
    records: list[logging.LogRecord] = []

    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger(AUDIT).addHandler(handler)
    try:
        AuditTrail(Pseudonyms(SECRET)).record({"query_string": b"limit=3"}, RequestLog("id", 200), "/events")
    finally:
        logging.getLogger(AUDIT).removeHandler(handler)
    (record,) = records
    assert record.audit["filters"] == {"limit": ["3"]}  # type: ignore[attr-defined]


@pytest.mark.parametrize("spelling", ["Jónas Jónsson", "jónas  jónsson ", "JÓNAS JÓNSSON", "Jo\u0301nas Jo\u0301nsson"])
def test_spellings_of_a_name_share_one_pseudonym(spelling: str) -> None:
    names = Pseudonyms(SECRET)
    assert names.of(spelling) == names.of("Jónas Jónsson")
    assert names.of(spelling) == Pseudonyms(SECRET).of(spelling), "the same on every replica"
    assert names.of(spelling) != Pseudonyms(SECRET + "!").of(spelling)
    assert names.of(spelling) != names.of("Jónas Jónssen")
    assert len(names.of(spelling)) == 17


@pytest.mark.parametrize("source", ["taktikal", "subnoto"])
async def test_the_request_line_counts_the_calls_for_a_single_event(log: io.StringIO, source: str) -> None:
    async with (
        world(taktikal=TaktikalOptions(events=60), subnoto=SubnotoOptions(events=60)) as one,
        opened(app_over(one)) as client,
    ):
        page = await client.get("/events", params={"source": source, "limit": "1", **window(one, 61)})
        event = f"/events/{page.json()['data'][0]['id']}"
        one.reset_calls()
        assert (await client.get(event)).status_code == 200
        calls = one.calls()
        emulator = one.taktikal if source == "taktikal" else one.subnoto
        emulator.faults.answer(401, times=10)
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
