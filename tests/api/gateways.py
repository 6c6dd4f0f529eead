"""The whole application over the emulators' accounts, and how a client reads what it sends."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI

from app.config import Settings
from app.domain.times import format_micros
from app.main import create_app
from app.providers.registry import find_providers
from tests.api.conftest import KEYS
from tests.worlds import SECRET, World

DAY = 86_400_000_000
FORMATS = ("ndjson", "csv", "ocsf", "cloudevents", "ecs")


def app_over(world: World, env: Mapping[str, str] = MappingProxyType({}), **settings: Any) -> FastAPI:
    """A replica. Its sources go by the world's clock; the gateway itself by the machine's."""
    providers = find_providers()
    found = [provider.from_environment({**world.env, **env}, world.common()) for provider in providers.values()]
    lines = "\n".join(key.line() for key in KEYS.values())
    return create_app(
        Settings(api_keys=lines, cursor_secret=SECRET, **settings),
        [source for source in found if source is not None],
        providers=providers,
    )


def window(world: World, days: int = 61) -> dict[str, str]:
    now = world.now
    return {"since": format_micros(now - days * DAY), "until": format_micros(now)}


def whole(form: str, body: bytes) -> bytes:
    """What came of a body, up to the end of its last whole event: what a careful client keeps."""
    if form != "csv":
        return body[: body.rfind(b"\n") + 1]
    # A quoted value may hold line ends; a row is whole where its quotes are even.
    end = len(body)
    while (end := body.rfind(b"\r\n", 0, end)) >= 0:
        if body.count(b'"', 0, end) % 2 == 0:
            return body[: end + 2]
    return b""


def events_of(form: str, body: bytes) -> list[dict[str, Any]]:
    """The events of a body, each as its format has it; without the line that tells the end."""
    if form == "csv":
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    lines = [json.loads(line) for line in body.splitlines()]
    return [line for line in lines if "complete" not in line]


def id_of(form: str, event: Mapping[str, Any]) -> str:
    """The gateway's id of an event, where each format has it."""
    found = {"ocsf": ("metadata", "uid"), "ecs": ("event", "id")}.get(form, ("id",))
    value: Any = event
    for name in found:
        value = value[name]
    return str(value)


def ids_of(form: str, events: Sequence[Mapping[str, Any]]) -> list[str]:
    return [id_of(form, event) for event in events]
