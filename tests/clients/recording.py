"""The answers that the OpenAPI document shows as its examples, asked of the sandbox at one fixed time.

    python -m tests.clients.recording       # writes app/api/examples.json anew

A test asks again and compares, so that the examples stay true answers.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from app.api.api_keys import ApiKey, hash_of
from app.api.openapi import RECORDED
from app.config import Settings
from app.domain.caller import SCOPES
from app.main import create_app
from app.providers.base import CommonSettings
from app.providers.registry import find_providers, make_sources
from sandbox.launcher import start_sandbox
from tests.api.server import served
from tests.worlds import SECRET, micros

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
#: Its three newest events have, together, every field that there is.
WINDOW = {"since": "2026-05-01T00:00:00Z", "until": "2026-05-19T18:20:00Z"}
KEY = ApiKey("all", hash_of("all"), frozenset(SCOPES))
#: A cursor is sealed with a random number, and looks another way each time.
CURSOR = r"[A-Za-z0-9_-]{40,}"


@contextmanager
def sandbox_gateway() -> Iterator[httpx.Client]:
    """A client of a gateway over the sandbox that `serve --sandbox` starts, in which it is always NOW."""
    providers = find_providers([])
    with start_sandbox(clock=lambda: NOW) as running:
        sources = make_sources(providers, running.env, [], CommonSettings(clock=lambda: micros(NOW)))
        app = create_app(Settings(api_keys=KEY.line(), cursor_secret=SECRET), sources, providers=providers)
        headers = {"X-Request-ID": "8f14e45fceea167a5a36dedd4bea2543", "Authorization": "Bearer all"}
        with served(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            yield client


def record() -> dict[str, Any]:
    """All examples by operation."""
    with sandbox_gateway() as client:
        # Before any other call: what a source learns of its account is no part of the example.
        sources = client.get("/sources").json()
        return {
            "list_events": client.get("/events", params={**WINDOW, "limit": 3}).json(),
            "count_events": client.get("/events/count", params=WINDOW).json(),
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
