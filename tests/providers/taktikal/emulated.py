"""Calls of the Taktikal emulator without a socket, and processes for it to have."""

from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.taktikal import Emulator, EmulatorOptions, Entry, Process
from tests.worlds import Clock

NOW = datetime(2026, 5, 20, 15, 0, tzinfo=UTC)
ALWAYS = {"StartDate": "2000-01-01", "EndDate": "2100-01-01"}
ACTIVITY = "/api/signing/activity"
SECOND = 10_000_000  # ticks
DAY = 86_400 * SECOND
MAY = 1_777_593_600 * SECOND  # 2026-05-01T00:00:00Z
Given = list[tuple[Process, list[Entry]]]


def emulator(clock: Clock | None = None, processes: Given | None = None, **options: Any) -> Emulator:
    chosen = EmulatorOptions(**{"events": 600, "days": 30, **options})
    return Emulator(chosen, clock=clock or Clock(NOW), processes=processes)


async def get(server: Emulator, params: dict[str, Any], *, path: str = ACTIVITY) -> httpx.Response:
    keys = (server.options.company_key, server.options.api_key)
    transport = httpx.ASGITransport(app=server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator", auth=keys) as client:
        return await client.get(path, params=params)


async def processes(server: Emulator, **params: Any) -> list[dict[str, Any]]:
    answer = await get(server, {**ALWAYS, **params})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def total(server: Emulator, **params: Any) -> int:
    answer = await get(server, {**ALWAYS, **params}, path=f"{ACTIVITY}/total")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"total"}
    number: int = answer.json()["total"]
    return number


def keys(found: list[dict[str, Any]]) -> list[str]:
    return [process["processKey"] for process in found]


def log(process: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in process["activityLog"]]


def given(key: str, *moments: int, **members: Any) -> tuple[Process, list[Entry]]:
    statuses = ["Created", "Started", "SigneeSigned", "Completed"]
    entries = [Entry(key, status, moment) for status, moment in zip(statuses, moments, strict=False)]
    return Process(key, **members), entries


def three() -> Given:
    """Created on the 1st, 2nd and 3rd of May at noon, each active again ten days later."""
    return [given(f"p{n}", MAY + n * DAY + DAY // 2, MAY + (n + 10) * DAY + DAY // 2) for n in range(3)]
