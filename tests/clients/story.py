"""The story that every generated client has to live through, and what must come of it.

A driver (`drivers/`) walks a window of the sandbox in pages of 25, then asks with filters of which one is repeated,
counts, fetches one event with its raw record, shows a wrong key, asks for a window that ends before it begins, and
reads a provider whose every word was unknown when the client was generated.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.clients.tools import HERE, ROOT
from tests.e2e.process import serving

KEY = "sandbox"
SOME = ("recipient.", "envelope.created")  #: how the types begin that drivers ask for


@dataclass(frozen=True)
class Stage:
    """Two gateways: over the sandbox, and over a provider of a later time. The window is one that grows no more."""

    url: str
    later_url: str
    since: str
    until: str
    events: list[dict[str, Any]]  #: of the window, newest first, as one export has them

    @property
    def env(self) -> dict[str, str]:
        return {
            "GATEWAY_URL": self.url,
            "GATEWAY_KEY": KEY,
            "LATER_URL": self.later_url,
            "SINCE": self.since,
            "UNTIL": self.until,
        }

    def check(self, told: str) -> None:
        """That a driver printed what is true. Raises AssertionError."""
        found = json.loads(told)
        ids = [event["id"] for event in self.events]
        assert found["walked"] == ids
        assert found["filtered"] == [event["id"] for event in reversed(self.events) if event["type"].startswith(SOME)]
        assert 0 < len(found["filtered"]) < len(ids)
        assert found["count"] == len(ids)
        assert found["one"] == ids[0]
        assert found["raw"] is True
        assert found["unauthenticated"] == {"status": 401, "code": "unauthenticated", "errors": []}
        refused = {"status": 422, "code": "invalid_window", "errors": [["since", "must be earlier than until"]]}
        assert found["refused"] == refused
        sealed = ["vault.sealed", "SEALED", "vault", "pending", "robot", "entombed", "pigeon"]
        opened = ["unknown", "OPENED", *sealed[2:]]
        assert found["later"] == ([sealed] + [opened] * 4) * 12


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    providers = folder / "providers"
    for source in (HERE / "later", ROOT / "tests" / "e2e" / "acme"):
        shutil.copytree(source, providers / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    env = {"GATEWAY_PROVIDERS_PATH": str(providers), "GATEWAY_AUTH": "off", "LATER_TOKEN": "token"}
    (folder / "later").mkdir()
    now = datetime.now(UTC)
    since, until = (f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (12, 1))
    with (
        serving("--sandbox", cwd=folder) as gateway,
        serving(cwd=folder / "later", env=env) as later,
    ):
        exported = httpx.get(
            f"{gateway.url}/events/export",
            params={"since": since, "until": until},
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=60,
        )
        *events, end = map(json.loads, exported.text.splitlines())
        assert end == {"cursor": None, "complete": True}
        yield Stage(gateway.url, later.url, since, until, events)
