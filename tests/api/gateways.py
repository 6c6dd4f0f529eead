"""The application over the emulators, and readers of its exports."""

import csv
import io
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx
from fastapi import FastAPI

from app.config import Settings
from app.main import create_app
from app.providers.registry import find_providers
from tests.api.conftest import KEYS
from tests.worlds import SECRET, World

FORMATS = ("ndjson", "csv", "ocsf", "cloudevents", "ecs")


def app_over(world: World, env: Mapping[str, str] = MappingProxyType({}), **settings: Any) -> FastAPI:
    """Return a replica. Its sources use the clock of `world`, the gateway itself the real time."""
    providers = find_providers()
    found = [provider.from_environment({**world.env, **env}, world.common()) for provider in providers.values()]
    lines = "\n".join(key.line() for key in KEYS.values())
    return create_app(
        Settings(api_keys=lines, cursor_secret=SECRET, **settings),
        [source for source in found if source is not None],
        providers=providers,
    )


def complete_part(form: str, body: bytes) -> bytes:
    """Return the body up to the end of its last complete event."""
    if form != "csv":
        return body[: body.rfind(b"\n") + 1]
    # A quoted value may contain line ends: a row ends where the number of quotes is even.
    end = len(body)
    while (end := body.rfind(b"\r\n", 0, end)) >= 0:
        if body.count(b'"', 0, end) % 2 == 0:
            return body[: end + 2]
    return b""


def events_of(form: str, body: bytes) -> list[dict[str, Any]]:
    """Parse the events of a body, without the last line of NDJSON."""
    if form == "csv":
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    lines = [json.loads(line) for line in body.splitlines()]
    return [line for line in lines if "complete" not in line]


def id_of(form: str, event: Mapping[str, Any]) -> str:
    """Return the gateway's id of an event."""
    value: Any = event
    for name in {"ocsf": ("metadata", "uid"), "ecs": ("event", "id")}.get(form, ("id",)):
        value = value[name]
    return str(value)


def ids_of(form: str, body: bytes) -> list[str]:
    return [id_of(form, event) for event in events_of(form, body)]


def last_line(response: httpx.Response) -> dict[str, Any]:
    """Parse the last line of an NDJSON export."""
    line: dict[str, Any] = json.loads(response.content.splitlines()[-1])
    return line
