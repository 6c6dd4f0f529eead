"""Exports of a Subnoto log whose server fails, truncates, repeats or removes records, resumed by `after` or by cursor:
a complete export has each remaining record once. And exports of a small Taktikal account without totals."""

import asyncio
import json
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from app.api.exports.csv import HEADER
from app.api.middleware import InterruptedAnswer
from app.api.routes import export as module
from app.domain.errors import SourceFailed
from app.domain.times import SECOND, format_micros
from app.providers.base import CommonSettings
from app.providers.subnoto.settings import SubnotoSettings
from app.providers.subnoto.source import SubnotoSource
from tests.api.conftest import make_app, opened
from tests.api.gateways import FORMATS, app_over, events_of, id_of
from tests.properties.test_moving_logs import NOW, FakeLog
from tests.worlds import TaktikalOptions, served_world, window

FAULTS: dict[str, dict[str, Any]] = {
    "fails": {"fails": 0.05},
    "truncates and fails": {"cut": 0.1, "fails": 0.03},
    "stays truncated": {"lack": 3, "cuts": 1 << 30},
    "total of the rows shown": {"claims_shown": True, "cut": 0.05},
    "repeats": {"beyond": "last", "off": 1},
    "one row a page": {"beyond": "last", "size": 1},
    "removes": {"every": 9, "by": 1},
    "removes anywhere and fails": {"every": 9, "by": 1, "fails": 0.03, "anywhere": True},
    "grows": {"every": 3, "growth": 1},
    "newest first": {"newest_first": True, "size": 20},
}


@dataclass
class Failing(FakeLog):
    fails: float = 0  #: probability that a round of calls fails

    async def list_logs(self, query: Any, pages: Any, limit: int, spent: Any) -> Any:
        if self.rng.random() < self.fails:
            raise SourceFailed("now and then")
        return await super().list_logs(query, pages, limit, spent)


async def export(log: FakeLog, form: str, order: str, rng: random.Random) -> tuple[list[str], bool]:
    """Return the ids of an export and of its resumed parts, some of them cut, and whether it ended as complete."""
    settings = SubnotoSettings.model_validate({"base_url": "http://log.example", "access_key": "a", "secret_key": "b"})
    source = SubnotoSource("s", settings, CommonSettings(clock=lambda: NOW))
    source._client = log  # type: ignore[assignment]
    window = {"since": format_micros(log.rows[0][0]), "until": format_micros(NOW)}
    start: dict[str, Any] = {"category": "envelope", "format": form, "order": order, **window}
    params, ids = dict(start), list[str]()
    async with opened(make_app([source])) as client:
        for _ in range(30):
            body, is_ended, header = b"", False, b""
            with suppress(InterruptedAnswer):
                async with client.stream("GET", "/events/export", params=params) as response:
                    if response.status_code != 200:
                        continue
                    async for part in response.aiter_bytes():
                        body += part
                is_ended = True
            if form == "csv" and "after" in params:
                header = HEADER
            events = events_of(form, header + body)
            end = json.loads(body.splitlines()[-1]) if form == "ndjson" and is_ended else {}
            is_cut = bool(events) and rng.random() < 0.3
            read = events[: rng.randrange(1, len(events) + 1)] if is_cut else events
            ids += [id_of(form, event) for event in read]
            if not is_cut and end.get("cursor", None) is None and (is_ended or not events):
                return ids, bool(end.get("complete", is_ended))
            params = {"format": form, "cursor": end["cursor"]} if not is_cut and end.get("cursor") else dict(start)
            if "cursor" not in params and ids:
                params["after"] = ids[-1]
    return ids, False


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_complete_export_has_each_record_once(fault: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 40)
    rng = random.Random(f"{fault} {form}")
    rows = [(NOW - (130 - n) // 3 * 600 * SECOND - SECOND, n) for n in range(130)]
    log = Failing(rows, rng, **FAULTS[fault])
    for order in ("asc", "desc"):
        ids, is_complete = asyncio.run(export(log, form, order, rng))
        assert len(ids) == len(set(ids))
        remaining = sum(n < 130 for _, n in log.rows)
        assert not is_complete or remaining <= len(ids) <= 130
        assert is_complete or fault not in ("stays truncated", "one row a page", "grows")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("events", [10, 120])
@pytest.mark.parametrize("mode", ["activity", "creation"])
async def test_a_small_account_without_totals_is_exported_completely(mode: Any, events: int, form: str) -> None:
    with served_world(TaktikalOptions(events=events, totals="absent", range_selects=mode), None) as world:
        async with opened(app_over(world)) as client:
            response = await client.get("/events/export", params={"format": form, **window(world, 61)})
            assert len(events_of(form, response.content)) == len(world.truth())
            assert form != "ndjson" or json.loads(response.text.splitlines()[-1])["complete"]
            count = (await client.get("/events/count", params=window(world, 61))).json()
            assert count["value"] == len(world.truth())
