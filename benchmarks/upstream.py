"""Processor time of one call to a vendor with the gateway's client, aiohttp and httpx."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx

from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from benchmarks import serving
from benchmarks.histories import history
from benchmarks.pairs import Report, Rounds

TOTAL = "api/signing/activity/total?StartDate=2026-05-01T00:00:00Z&EndDate=2026-05-02T00:00:00Z"
NAMES = {"aiohttp": "aiohttp", "gateway": "gateway, with bounds, retries, circuit and metrics", "httpx": "httpx"}

Call = Callable[[], Awaitable[object]]


def measure(*, quick: bool) -> Report:
    report = Report("One call at a vendor")
    with serving.mock(history("taktikal", 2_000).folder) as mock:
        found = asyncio.run(_rounds(mock.url, calls=20 if quick else 500, rounds=1 if quick else 9))
    header = ["client", "processor time, ms", "of aiohttp's"]
    report.table(header, [[NAMES[name], str(found.spread(name)), str(found.ratio(name, "aiohttp"))] for name in NAMES])
    return report


async def _rounds(url: str, calls: int, rounds: int) -> Rounds:
    gateway = ProviderHttp(url, CommonSettings(), name="main", auth=("company", "key"))
    found = Rounds({name: [] for name in NAMES})
    async with aiohttp.ClientSession() as bare, httpx.AsyncClient() as stock:

        async def read() -> bytes:
            async with bare.get(f"{url}/{TOTAL}") as response:
                return await response.read()

        clients: dict[str, Call] = {
            "aiohttp": read,
            "gateway": lambda: gateway.call("GET", TOTAL, CallBudget()),
            "httpx": lambda: stock.get(f"{url}/{TOTAL}"),
        }
        for number in range(rounds + 1):
            for name, call in clients.items():
                begun = time.process_time()
                for _ in range(calls):
                    await call()
                if number:  # the first round opens the connections
                    found.values[name].append(1000 * (time.process_time() - begun) / calls)
    await gateway.aclose()
    return found
