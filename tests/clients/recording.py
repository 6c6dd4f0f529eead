"""The examples of the OpenAPI document: responses of the sandbox at one fixed time.

    python -m tests.clients.recording       # writes app/api/examples.json

A test records them again and compares.
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
#: The three newest events of this window have, together, every field.
WINDOW = {"since": "2026-05-01T00:00:00Z", "until": "2026-05-19T18:20:00Z"}
KEY = ApiKey("all", hash_of("all"), frozenset(SCOPES))
#: A cursor contains a random number and is different each time.
CURSOR = r"[A-Za-z0-9_-]{40,}"


@contextmanager
def sandbox_gateway() -> Iterator[httpx.Client]:
    """Yield a client of a gateway over the sandbox of `serve --sandbox`, whose time is NOW."""
    providers = find_providers([])
    with start_sandbox(clock=lambda: NOW) as running:
        sources = make_sources(providers, running.env, [], CommonSettings(clock=lambda: micros(NOW)))
        app = create_app(Settings(api_keys=KEY.line(), cursor_secret=SECRET), sources, providers=providers)
        headers = {"X-Request-ID": "8f14e45fceea167a5a36dedd4bea2543", "Authorization": "Bearer all"}
        with served(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            yield client


def record() -> dict[str, Any]:
    """Return the examples by operation."""
    with sandbox_gateway() as client:
        # The first call: later, /sources would have observations of the accounts.
        sources = client.get("/sources").json()
        return {
            "list_events": client.get("/events", params={**WINDOW, "limit": 3}).json(),
            "count_events": client.get("/events/count", params=WINDOW).json(),
            "list_sources": sources,
        }


def comparable(recorded: Any, member: str = "") -> Any:
    """Replace cursors, which are different each time."""
    if isinstance(recorded, dict):
        return {name: comparable(value, name) for name, value in recorded.items()}
    if isinstance(recorded, list):
        return [comparable(value) for value in recorded]
    if isinstance(recorded, str):
        return re.sub(rf"^{CURSOR}$", "a cursor", recorded) if member == "next_cursor" else recorded
    return recorded


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(), ensure_ascii=False) + "\n", encoding="utf-8")
