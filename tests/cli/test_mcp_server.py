"""`audit-gateway mcp`, driven by the SDK's own client."""

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, StdioServerParameters

from app.api.api_keys import ApiKey, hash_of
from app.cli.mcp_server import _notes
from sandbox.launcher import start_sandbox
from tests.cli.served import call
from tests.process import COMMAND, environment, serving

MASKED, FULL = "masked-key", "full-key"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment of a gateway and of its emulators."""
    keys = [
        ApiKey("agent", hash_of(MASKED), frozenset({"events:read"})).line(),
        ApiKey("auditor", hash_of(FULL), frozenset({"events:read", "pii:read"})).line(),
    ]
    with (
        start_sandbox(events=600, days=20, seed=3) as sandbox,
        serving(cwd=tmp_path_factory.mktemp("gateway"), env=sandbox.env | {"GATEWAY_API_KEYS": "\n".join(keys)}) as one,
    ):
        yield {"GATEWAY_URL": one.url, **sandbox.env}


@asynccontextmanager
async def mcp_client(env: dict[str, str], cwd: Path) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(command=COMMAND, args=["mcp"], env=environment(env), cwd=cwd)
    async with Client(parameters, read_timeout_seconds=60) as client:
        yield client


async def call_tool(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    assert content.type == "text"
    assert result.structured_content is None, "the result is not sent twice"
    text = f"ERROR {content.text}" if result.is_error else content.text
    return text


@pytest.mark.parametrize("access", ["over_http", "in_process"])
async def test_each_tool_reads_the_gateway(access: str, gateway: dict[str, str], tmp_path: Path) -> None:
    env = {"GATEWAY_KEY": FULL, **gateway}
    if access == "in_process":
        del env["GATEWAY_URL"]
    async with mcp_client(env, tmp_path) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["search_events", "get_event", "get_envelope", "count_events"]
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        assert len(json.dumps([tool.model_dump(exclude_none=True) for tool in tools])) < 8000
        # All events, page by page.
        ids: list[str] = []
        arguments: dict[str, Any] = {"since": "2020-01-01", "until": "2099-01-01", "limit": 200, "order": "asc"}
        while True:
            *rows, last = (await call_tool(client, "search_events", **arguments)).splitlines()
            assert len("\n".join(rows)) < 200 * 300
            ids += [row.rsplit(" | ", 1)[1] for row in rows]
            name, _, cursor = last.partition(": ")
            assert name == "next_cursor"
            if cursor == "none":
                break
            arguments = {"cursor": cursor, "limit": 200}
        assert len(ids) == len(set(ids)) >= 600
        event = json.loads(await call_tool(client, "get_event", event_id=ids[0]))
        assert event["id"] == ids[0]
        # The story of one envelope.
        rows = (await call_tool(client, "search_events", type="envelope.completed", since="2020-01-01")).splitlines()
        envelope = rows[0].split(" | ")[2].rpartition("[")[2].rstrip("]")
        state, *story = (await call_tool(client, "get_envelope", envelope_id=envelope)).splitlines()
        assert json.loads(state)["envelope"]["id"] == envelope
        assert rows[0] in story
        assert story == sorted(story, key=lambda row: row[:20])
        # Groups.
        *groups, total = (await call_tool(client, "count_events", by="type", since="2020-01-01")).splitlines()
        counts = {key: int(value) for value, key in (line.split(" ", 1) for line in groups)}
        assert total == f"total: {sum(counts.values())} (eq)"
        assert counts["envelope.completed"] > 0
        assert sum(counts.values()) >= 600
        # Invalid arguments are explained.
        assert "since" in await call_tool(client, "search_events", since="yesterday-ish")
        for wrong in ("../metrics", "a/b", "", "x?y"):
            assert (await call_tool(client, "get_event", event_id=wrong)).startswith("ERROR ")
        assert (await call_tool(client, "get_envelope", envelope_id="no-such-envelope")).startswith("ERROR ")
        assert (await call_tool(client, "search_events", limit=100_000)).startswith("ERROR ")


async def test_a_key_without_pii_read_gets_masked_values(gateway: dict[str, str], tmp_path: Path) -> None:
    results = {}
    for key in (MASKED, FULL):
        async with mcp_client({"GATEWAY_URL": gateway["GATEWAY_URL"], "GATEWAY_KEY": key}, tmp_path) as client:
            rows = (await call_tool(client, "search_events", type="recipient.added")).splitlines()
            results[key] = await call_tool(client, "get_event", event_id=rows[0].rsplit(" | ", 1)[1])
    assert "***" in results[MASKED]
    assert "***" not in results[FULL]
    headers = {"Authorization": f"Bearer {MASKED}"}
    event = json.loads(results[MASKED])
    async with httpx.AsyncClient(headers=headers) as http:
        direct = (await http.get(f"{gateway['GATEWAY_URL']}/events/{event['id']}")).json()
    assert {name: direct[name] for name in event if name not in ("actor", "envelope", "recipient", "data")} == {
        name: event[name] for name in event if name not in ("actor", "envelope", "recipient", "data")
    }
    async with mcp_client({"GATEWAY_URL": gateway["GATEWAY_URL"], "GATEWAY_KEY": "wrong"}, tmp_path) as client:
        refused = await call_tool(client, "search_events")
        assert refused.startswith("ERROR ")
        assert "wrong" not in refused


async def test_an_unknown_argument_is_refused(gateway: dict[str, str], tmp_path: Path) -> None:
    """Ignored, it would widen the result to all events."""
    async with mcp_client({"GATEWAY_KEY": FULL, **gateway}, tmp_path) as client:
        tools = (await client.list_tools()).tools
        assert [tool.input_schema["additionalProperties"] for tool in tools] == [False] * 4
        for tool, needed in (("search_events", {}), ("count_events", {"by": "type"}), ("get_event", {"event_id": "x"})):
            refused = await call_tool(client, tool, actor="nora.demo@company.example.is", **needed)
            assert refused.startswith("ERROR ")
            assert "actor" in refused
        refused = await call_tool(client, "search_events", since="yesterday")
        assert refused.count("must be an RFC 3339 date-time") == 1


def test_notes_name_incomplete_sources() -> None:
    reason = "1 records that cannot be read are left out"
    states = [("a", "ok", reason), ("b", "ok", None), ("c", "forbidden", "team: 403")]
    sources = [{"name": name, "status": status, "reason": reason} for name, status, reason in states]
    assert _notes({"sources": sources}) == [f"note: a ok: {reason}", "note: c forbidden: team: 403"]
    assert _notes({"sources": [{"name": "a", "value": 3, "relation": "eq"}]}) == []


def test_without_the_sdk_the_command_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "app.cli.mcp_server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    ended = call("mcp", env={}, cwd=tmp_path)
    assert ended.returncode == 2
    assert "'.[mcp]'" in ended.stderr
