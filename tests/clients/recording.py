"""The answers that the OpenAPI document shows as its examples, asked of the sandbox at one fixed time.

    python -m tests.clients.recording       # writes app/api/examples.json anew

A test asks again and compares, so that the examples stay true answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI

from app.api.api_keys import ApiKey, hash_of
from app.api.openapi import RECORDED
from app.domain.caller import SCOPES
from app.main import create_app
from app.providers.base import CommonSettings, Source
from app.providers.registry import find_providers, make_sources
from app.settings import Settings
from sandbox.launcher import Sandbox, start_sandbox
from tests.api.server import served
from tests.worlds import SECRET, micros

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
#: Its three newest events have, together, every field that there is.
WINDOW = {"since": "2026-05-01T00:00:00Z", "until": "2026-05-19T18:20:00Z"}
REQUEST_ID = "8f14e45fceea167a5a36dedd4bea2543"

#: Keys by what they are for: all scopes, the least, and one whose rate is soon used up.
KEYS = [
    ApiKey("all", hash_of("all"), frozenset(SCOPES)),
    ApiKey("reader", hash_of("reader"), frozenset({"events:read"})),
    ApiKey("busy", hash_of("busy"), frozenset(SCOPES), rate="1/day"),
]

#: A cursor is sealed with a random number, and looks another way each time. Those of the examples are as true as all
#: the rest: they were answered once.
CURSOR = r"[A-Za-z0-9_-]{40,}"


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """The sandbox that `serve --sandbox` starts, in which it is always NOW."""
    with start_sandbox(clock=lambda: NOW) as running:
        yield running


def gateway(
    running: Sandbox, env: Mapping[str, str] | None = None, *, more: Source | None = None, **settings: Any
) -> FastAPI:
    """A gateway over the sandbox. `env`: variables of the sources that differ; `more`: one more source."""
    providers = find_providers([])
    common = CommonSettings(clock=lambda: micros(NOW))
    sources = make_sources(providers, {**running.env, **(env or {})}, [], common)
    keys = "\n".join(key.line() for key in KEYS)
    extra = [] if more is None else [more]
    return create_app(
        Settings(api_keys=keys, cursor_secret=SECRET, **settings), [*sources, *extra], providers=providers
    )


@dataclass(frozen=True)
class Caller:
    """Asks a gateway that is served on a port, with a request id that is always the same."""

    port: int

    def get(
        self, path: str, key: str | None = "all", headers: Mapping[str, str] | None = None, **params: Any
    ) -> httpx.Response:
        with self.client(key) as client:
            return client.get(path, params=params, headers=dict(headers or {}))

    def client(self, key: str | None = "all") -> httpx.Client:
        headers = {"X-Request-ID": REQUEST_ID} | ({"Authorization": f"Bearer {key}"} if key else {})
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=60)


@contextmanager
def calling(app: FastAPI) -> Iterator[Caller]:
    with served(app) as port:
        yield Caller(port)


def record() -> dict[str, Any]:
    """All examples by operation."""
    with sandbox() as running, calling(gateway(running)) as caller:
        # Before any other call: what a source learns of its account is no part of the example.
        sources = caller.get("/sources").json()
        return {
            "list_events": caller.get("/events", **WINDOW, limit=3).json(),
            "count_events": caller.get("/events/count", **WINDOW).json(),
            "list_sources": sources,
        }


def settled(recorded: Any, member: str = "") -> Any:
    """What must be the same each time: of cursors, only their form."""
    if isinstance(recorded, dict):
        return {name: settled(value, name) for name, value in recorded.items()}
    if isinstance(recorded, list):
        return [settled(value) for value in recorded]
    if isinstance(recorded, str):
        return re.sub(rf"^{CURSOR}$", "a cursor", recorded) if member == "next_cursor" else recorded
    return recorded


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(), ensure_ascii=False) + "\n", encoding="utf-8")
