"""Secrets and personal data are planted in every text, all endpoints are called, and the values reach permitted callers
only.
"""

import base64
import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle, product
from typing import Any, get_args

import httpx
import pytest
import structlog

from app.api.exports import FORMATS
from app.config import Settings
from app.domain.query import GroupBy
from tests.logged import logged
from tests.privacy.canary import (
    ALL_PRIVATE,
    ALL_SECRETS,
    EMAILS,
    LINKS,
    NAMES,
    PRIVATE,
    SECRETS,
    TEXT,
    Canary,
    found_in,
    gateway,
)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log of all loggers, at the lowest level."""
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpcore", "asyncio", "uvicorn.error", "app")]
    with logged() as stream:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
        for logger in loggers:
            logger.setLevel(logging.DEBUG)
        yield stream
        for logger in loggers:
            logger.setLevel(logging.NOTSET)


async def exercise(canary: Canary, client: httpx.AsyncClient, caller: str, seen: list[str]) -> None:
    """Call every endpoint with all parameters. `seen`: values to filter by."""
    get = canary.get
    for path in ("/docs", "/docs/start.js", "/docs/swagger-ui.css", "/openapi.json", "/health/live", "/health/ready"):
        assert (await get(client, caller, path)).status_code == 200
    assert (await get(client, caller, "/.well-known/jwks.json")).json()["keys"]
    assert (await get(client, caller, "/me")).json()["kind"] == "key"
    # A problem's `instance` repeats the caller's path; logs and metrics must not.
    assert (await client.get(f"/envelopes/{seen[0]}", headers={"X-API-Key": SECRETS[caller]})).status_code == 404
    for path in ("envelopes/unknown", "sources", "event-types", "metrics", "nowhere", "events/unknown", "events?no=1"):
        await get(client, caller, f"/{path}")
    for order in ("asc", "desc"):
        page = await get(client, caller, "/events", params={"order": order, "limit": 2, "include": ["raw", "total"]})
        while page.status_code == 200 and page.json()["page"]["next_cursor"]:
            page = await get(client, caller, "/events", params={"cursor": page.json()["page"]["next_cursor"]})
    full = await get(client, caller, "/events", params={"limit": 1000})
    for event in full.json().get("data", ()):
        assert (await get(client, caller, f"/events/{event['id']}", params={"include": "raw"})).status_code == 200
    for envelope in {event["envelope"]["id"] for event in full.json().get("data", ()) if event["envelope"]}:
        for path in (f"/envelopes/{envelope}", f"/envelopes/{envelope}/report"):
            assert (await get(client, caller, path)).status_code == 200
    for group in get_args(GroupBy):
        assert (await get(client, caller, "/events/count", params={"by": group})).json()["groups"]
    for form in FORMATS:
        for include in ({}, {"include": "raw"}):
            response = await get(client, caller, "/events/export", params={"format": form, **include})
            if manifest := response.headers.get("export-manifest"):
                signed = (await get(client, caller, manifest)).text
                canary.responses[caller].append(base64.urlsafe_b64decode(signed.split(".")[1] + "==").decode())
    for include in ({}, {"include": "raw"}):
        assert await canary.listen(caller, 9, since="2000-01-01", **include) == 200
    assert await canary.listen(caller) == 200
    assert await canary.listen(caller, nonsense=seen[0]) == 422
    for value, options in zip(seen, cycle(({"include": "total"}, {"include": "raw", "partial": "true"}))):
        await canary.listen(caller, 9, since="2000-01-01", q=value)
        for name in ("q", "owner", "actor", "recipient", "person"):
            await get(client, caller, "/events", params={name: value, **options})
            exact = {} if "include" in options and options["include"] == "total" else {"exact": "true", "by": "actor"}
            await get(client, caller, "/events/count", params={name: value, **exact})


async def fail(canary: Canary, client: httpx.AsyncClient, caller: str) -> None:
    """Make the providers and the gateway fail in every way, with planted values in the text of the failure."""
    text = json.dumps({"error": {"code": "E", "message": f"{TEXT} {list(SECRETS.values())}"}, "url": LINKS[0]})
    emulators = [each for each in (canary.world.taktikal, canary.world.subnoto) if each is not None]
    for day, (status, emulator) in enumerate(product((400, 401, 403, 404, 422, 500), emulators), 1):
        # More faults than calls, because retries take a varying number of them.
        emulator.faults.answer(status, {"x-request-id": NAMES[1].encode().hex()}, times=1000, body=text.encode())
        await canary.get(client, caller, "/events", params={"partial": "true", "include": "total"})
        await canary.get(client, caller, "/events/count")
        # With a new `since`, because equal streams share their messages.
        await canary.listen(caller, heartbeats=1000, since=f"2000-02-{day:02}")
        assert "event: problem" in canary.streams[caller][-1]
        emulator.faults.clear()
    for emulator in emulators:
        for fault in (emulator.faults.html, emulator.faults.malformed):
            fault(times=2)
            await canary.get(client, caller, "/events")
            emulator.faults.clear()
    feed = canary.app.state.feed
    page = feed.page

    async def broken(*_given: Any, **_more: Any) -> Any:
        try:
            raise ValueError(f"{TEXT} {list(SECRETS.values())} {LINKS}")
        except ValueError as error:
            raise RuntimeError(TEXT) from error

    feed.page = broken
    assert (await canary.get(client, caller, "/events")).status_code == 500
    feed.page = page


@pytest.mark.parametrize("pseudonymize", [False, True])
async def test_planted_values_reach_only_permitted_callers(log: io.StringIO, pseudonymize: bool) -> None:
    async with gateway(log, pseudonymize) as (canary, client):
        for caller in ("plain key", "key"):
            await exercise(canary, client, caller, [*EMAILS, NAMES[0], *(forms[0] for forms in PRIVATE.values())])
        for path in ("/events", "/sources", "/metrics", "/docs", "/openapi.json"):
            await canary.get(client, "anonymous", path)
        assert await canary.listen("anonymous") == 401
        wrong = await client.get("/events", headers={"Authorization": f"Bearer {SECRETS['key']}x"})
        canary.responses["anonymous"].append(wrong.text)
        await fail(canary, client, "plain key" if pseudonymize else "key")
        metrics = (await canary.get(client, "plain key", "/metrics")).text
        settings = repr(canary.app.state.authenticator.__dict__) + repr(
            Settings(cursor_secret=SECRETS["GATEWAY_CURSOR_SECRET"])
        )

    all_responses = [response for responses in canary.responses.values() for response in responses]
    assert len(all_responses) > 250
    # Permitted callers do get the planted values.
    for private_answers in ("\n".join(canary.responses["key"]), "\n".join(canary.streams["key"])):
        for values in (["+3548691177"], ["1203874459"], PRIVATE["address"][:1], NAMES[:1], EMAILS[:1]):
            assert found_in(private_answers, values) == values

    hidden = ALL_PRIVATE + ([*NAMES, *EMAILS] if pseudonymize else [])
    for response in canary.responses["plain key"]:
        assert not found_in(response, hidden), response
    if not pseudonymize:
        for plain_answers in (canary.responses["plain key"], canary.streams["plain key"]):
            assert found_in("\n".join(plain_answers), [NAMES[0], *EMAILS]) == [NAMES[0], *EMAILS]
    for response in all_responses:
        assert not found_in(response, [*ALL_SECRETS, *LINKS]), response
    for text in (log.getvalue(), metrics, settings, *canary.responses["anonymous"]):
        assert not found_in(text, [*ALL_PRIVATE, *NAMES, *EMAILS, *ALL_SECRETS, *LINKS])

    assert len(canary.tokens) > 20
    for token in canary.tokens:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        for value in [*ALL_PRIVATE, *NAMES, *EMAILS, *ALL_SECRETS, *LINKS]:
            assert value.casefold().encode() not in raw.lower()


def test_the_captured_log_has_the_lowest_level(log: io.StringIO) -> None:
    logging.getLogger("httpx").info('HTTP Request: GET https://a.example/?q=%s "200 OK"', "secret-search")
    logging.getLogger("httpcore.http11").debug("send_request_headers.started request=<Request [b'secret-search']>")
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: ValueError('secret-search')")
    structlog.get_logger().debug("a debug line")
    lines = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert lines == ["HTTP", "send_request_headers.started", "Task exception was never retrieved", "a debug line"]


async def test_pseudonyms_join_the_events_of_both_accounts(log: io.StringIO) -> None:
    """A person has one pseudonym in every field of both accounts, and filters accept it."""
    async with gateway(log, True) as (canary, client):
        events = (await canary.get(client, "plain key", "/events?limit=1000&include=raw")).json()["data"]
        recipients = {event["recipient"]["email"] for event in events if event["recipient"] and event["category"]}
        names = {event["recipient"]["name"] for event in events if event["recipient"]}
        owners = {event["envelope"]["owner"] for event in events if event["envelope"]} - {None}
        actors = {event["actor"]["email"] for event in events} - {None}
        assert len(recipients) == len(names) == len(owners) == 1
        assert actors == recipients | owners
        assert all(pseudonym.startswith("~") for pseudonym in actors | names)
        assert {event["source"] for event in events if event["actor"]["email"] in owners} == {"taktikal", "subnoto"}
        (recipient,), (owner,) = recipients, owners
        for event in events:
            if event["source"] == "taktikal" and event["raw"]["signee"]:
                assert event["raw"]["signee"]["email"] == recipient
        found = (await canary.get(client, "plain key", "/events", params={"recipient": recipient})).json()["data"]
        by_actor = (await canary.get(client, "plain key", "/events", params={"actor": owner})).json()["data"]
        by_search = await canary.get(client, "plain key", "/events", params={"q": owner, "source": "subnoto"})
        assert len(found) == len([event for event in events if event["recipient"]])
        assert len(by_actor) == len([event for event in events if event["actor"]["email"] == owner])
        assert len(by_search.json()["data"]) == 3
        for name, value in (("recipient", EMAILS[0]), ("actor", EMAILS[1]), ("q", EMAILS[1]), ("q", NAMES[2])):
            response = await canary.get(client, "plain key", "/events", params={name: value})
            assert response.json()["data"] == [], "a caller who gets pseudonyms cannot try email addresses"
            assert (await canary.get(client, "key", "/events", params={name: value})).json()["data"] != []
        refused = await canary.get(client, "plain key", "/events", params={"owner": EMAILS[1]})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_search_by_a_hidden_value_finds_nothing(log: io.StringIO) -> None:
    async with gateway(log, False) as (canary, client):
        # One spelling is in no planted text; this record contains it.
        data = {"mobile": PRIVATE["foreign phone"][0], "note": PRIVATE["foreign phone"][1]}
        canary.world.subnoto.history.append(
            "ENVELOPE_OPENED", category="envelope", event_data=data, timestamp=canary.world.clock() - timedelta(hours=1)
        )
        for value in ALL_PRIVATE:
            allowed = await canary.get(client, "key", "/events", params={"q": value})
            assert allowed.json()["data"], "at least one vendor finds it"
            refused = await canary.get(client, "plain key", "/events", params={"q": value})
            assert refused.json()["data"] == []
            exact = await canary.get(client, "plain key", "/events/count", params={"q": value, "exact": "true"})
            assert exact.json()["value"] == 0
            plain = await canary.get(client, "plain key", "/events/count", params={"q": value})
            assert [(total["value"], total["relation"]) for total in plain.json()["sources"]] == [(0, "eq")] * 2
