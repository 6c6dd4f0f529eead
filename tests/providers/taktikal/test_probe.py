"""What a probe tells of the server itself."""

from __future__ import annotations

from typing import Any

import pytest

from app.providers.base import CallBudget, ProbeResult
from app.providers.taktikal.client import TaktikalClient
from app.providers.taktikal.observations import AccountObservations
from app.providers.taktikal.probe import probe
from sandbox.taktikal import Emulator, EmulatorOptions
from tests.providers import inside

pytestmark = pytest.mark.anyio


async def probed(**options: Any) -> dict[str, ProbeResult]:
    emulator = Emulator(EmulatorOptions(events=300, days=30, **options), clock=lambda: inside.NOW)
    client, facts = TaktikalClient(inside.taktikal(emulator)), AccountObservations(lambda: inside.NOW_MICROS)
    found = await probe(client, facts, CallBudget(), inside.NOW_MICROS, 120 * inside.DAY)
    return {one.topic: one for one in found}


async def test_a_server_of_the_older_generation_is_named() -> None:
    found = await probed(calls="older")
    assert found.keys() == {"server"}
    assert found["server"].state == "failed"
    assert "older generation" in found["server"].found


async def test_ranges_that_select_by_last_update_are_named() -> None:
    found = await probed(range_selects="last_update")
    assert "last update" in found["date range"].found
