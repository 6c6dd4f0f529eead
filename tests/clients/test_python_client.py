"""`clients/python`, against a sandbox gateway with faults."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from audit_gateway_client import AsyncClient, Client, Filters, GatewayError, RetryPolicy

from tests.clients.tools import DOCUMENT, ROOT, call, python_tool
from tests.clients.world import Gateway, faulty, later_gateway

PACKAGE = ROOT / "clients" / "python"
FILTERS: Any = {"type": ["recipient.*", "envelope.created"], "order": "asc", "limit": 100}


def test_every_event_once_through_faults_and_a_restart(gateway: Gateway) -> None:
    faults = (None, "reset", "503", None, "cut", gateway.restart, "429", "504")
    with faulty(gateway, *faults) as proxy, Client(proxy.url, gateway.key) as client:
        assert [event.id for event in client.events(limit=90, **gateway.window)] == gateway.ids
        assert [event.id for event in client.events(**FILTERS, **gateway.window)] == gateway.filtered_ids
        assert client.count(exact=True, **gateway.window).value == len(gateway.ids)
        one = client.event(gateway.ids[7], raw=True)
        assert (one.id, bool(one.raw)) == (gateway.ids[7], True)
        assert one.model_dump(mode="json", exclude={"raw", "occurred_at"}).items() <= gateway.events[7].items()


def test_the_asynchronous_client_does_the_same(gateway: Gateway) -> None:
    async def read(url: str) -> None:
        async with AsyncClient(url, gateway.key) as client:
            assert [event.id async for event in client.events(limit=90, **gateway.window)] == gateway.ids
            assert [event.id async for event in client.events(**FILTERS, **gateway.window)] == gateway.filtered_ids
            assert (await client.count(exact=True, **gateway.window)).value == len(gateway.ids)
            assert (await client.event(gateway.ids[7])).id == gateway.ids[7]
            walk = client.events(follow=True, poll=0, since=gateway.since, limit=100)
            assert [(await anext(walk)).id for _ in range(150)] == gateway.ids[:-151:-1]
            resumed = client.events(follow=True, cursor=walk.cursor)
            assert (await anext(resumed)).id == gateway.ids[-101]

    with faulty(gateway, "cut", None, "503", "reset") as proxy:
        asyncio.run(read(proxy.url))


def test_a_walk_resumes_after_the_last_complete_page(gateway: Gateway) -> None:
    with Client(gateway.url, gateway.key) as client:
        walk = client.events(limit=50, **gateway.window)
        assert walk.cursor is None
        read = [next(walk).id for _ in range(120)]
        again = [event.id for event in client.events(cursor=walk.cursor)]
        assert [*read[:100], *again] == gateway.ids
        pages = list(client.pages(limit=200, **gateway.window))
        assert [event.id for page in pages for event in page.data] == gateway.ids
        assert len([*walk]) == len(gateway.ids) - 120
        assert walk.cursor is None, "the walk has ended"


def test_a_follower_continues_after_the_newest_event(gateway: Gateway) -> None:
    with Client(gateway.url, gateway.key) as client:
        pages = client.pages(follow=True, poll=0.01, since=gateway.since, limit=1000)
        ids: list[str] = []
        ends = 0
        while ends < 3:
            page = next(pages)
            ids += [event.id for event in page.data]
            ends += not page.page.has_more
    assert ids[: len(gateway.ids)] == gateway.ids[::-1]
    assert len(ids) == len(set(ids))


def test_final_errors_are_raised_at_once(gateway: Gateway) -> None:
    with Client(gateway.url, "nobody") as client, pytest.raises(GatewayError, match=r"^401 unauthenticated") as caught:
        client.count()
    assert "nobody" not in f"{caught.value!r}"
    with Client(gateway.url, gateway.key) as client, pytest.raises(GatewayError) as caught:
        next(client.events(since=gateway.until, until=gateway.since))
    assert (caught.value.status, caught.value.code) == (422, "invalid_window")
    assert caught.value.problem
    assert caught.value.problem.errors[0].parameter == "since"
    with (
        faulty(gateway, "503", "reset", "503") as proxy,
        Client(proxy.url, gateway.key, retry=RetryPolicy(attempts=3)) as client,
        pytest.raises(GatewayError, match=r"^503 source_unavailable: planted"),
    ):
        client.count()
    with Client("http://127.0.0.1:9", retry=RetryPolicy(attempts=1)) as client, pytest.raises(GatewayError) as caught:
        client.count()
    assert caught.value.status is None


def test_unknown_values_and_members_are_kept(gateway: Gateway) -> None:
    with later_gateway(gateway) as server, Client(server.url) as client:
        (event,) = client.events()
    assert (event.type, event.actor.kind, event.outcome) == ("vault.sealed", "robot", "pending")
    assert event.model_extra == {"new": 1}


def test_filters_are_those_of_the_document() -> None:
    parameters = json.loads(DOCUMENT.read_text(encoding="utf-8"))["paths"]["/events"]["get"]["parameters"]
    names = {parameter["name"].replace(".not", "_not") for parameter in parameters}
    assert names - {"cursor", "follow"} == set(Filters.__annotations__)


def test_the_models_are_those_of_the_document(tmp_path: Path) -> None:
    output = tmp_path / "models.py"
    call(python_tool("datamodel-codegen"), "--output", str(output), cwd=PACKAGE)
    committed = (PACKAGE / "src" / "audit_gateway_client" / "models.py").read_text(encoding="utf-8")
    assert output.read_text(encoding="utf-8") == committed, "run `make client-models`"
