"""`audit-gateway probe`: check every configured source, and report results and settings to use."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.config import load_configuration
from app.domain.caller import SCOPES, Caller
from app.domain.errors import SourcesFailed
from app.domain.query import EventQuery
from app.domain.times import SECOND, now_micros
from app.feed.model import FeedSettings
from app.feed.service import Feed
from app.main import build_sources
from app.providers.base import CallBudget, ProbeResult, Source

_RECENT = 600 * SECOND
_STYLES = {"ok": "green", "warning": "yellow", "failed": "red", "unknown": "cyan"}
_SETTING = re.compile(r"[A-Z][A-Z0-9_]*=\S+\Z")
_OPERATOR = Caller("probe", frozenset(SCOPES))


def probe_sources(config: Path | None, wait: float) -> int:
    """Print the report; returns 0, or 1 if a source cannot be read. Raises ConfigurationError."""
    configuration = load_configuration(config)
    sources = build_sources(configuration)
    reports: dict[str, list[ProbeResult]] = {}

    async def probe() -> None:
        feed = Feed(sources, FeedSettings(configuration.settings.cursor_secrets))
        async with aclosing(feed):
            for source in sources:
                found = list(await source.probe(CallBudget(deadline=time.monotonic() + 120)))
                if not any(finding.state == "failed" for finding in found):
                    found += await measure_lag(feed, source, wait)
                reports[source.name] = found

    asyncio.run(probe())
    console = Console()
    for name, findings in reports.items():
        table = Table(title=f"source {name}", title_justify="left")
        for heading in ("what", "", "found"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            table.add_row(finding.topic, f"[{_STYLES[finding.state]}]{finding.state}[/]", finding.found)
        console.print(table)
        # Lines for a `.env`, not wrapped at the terminal's width.
        for finding in findings:
            if (advice := finding.advice) is not None:
                line = advice if _SETTING.match(advice) else f"# {finding.topic}: {advice}"
                console.print(line, soft_wrap=True, markup=False, highlight=False)
        console.print()
    return int(any(finding.state == "failed" for findings in reports.values() for finding in findings))


async def measure_lag(
    feed: Feed,
    source: Source,
    wait: float,
    *,
    clock: Callable[[], int] = now_micros,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[ProbeResult]:
    """Read twice, `wait` seconds apart: a new record in the second read whose time is before the first read was late by
    at least the difference. `clock` returns µs since the epoch."""
    now = clock()
    # The newest, because a busy account has more than one page of this time.
    asked = EventQuery(source=(source.name,), since=now - _RECENT, order="desc", limit=1000)
    try:
        first = await feed.page(asked, _OPERATOR)
        looked = clock()
        await sleep(wait)
        second = await feed.page(asked, _OPERATOR)
    except SourcesFailed as error:
        return [ProbeResult("lag", "failed", error.detail)]
    known = {record.event().id for record in first.records}
    fresh = [record for record in second.records if record.event().id not in known]
    late = [looked - record.key[0] for record in fresh if record.key[0] < looked]
    if not fresh:
        return [ProbeResult("lag", "unknown", f"nothing new came within {wait:g} s; try again in busy hours")]
    worst, settle = max(late, default=0) / 1e6, f"held back for {source.settle:g} s"
    found = f"{len(fresh)} new events in {wait:g} s, the latest {worst:.1f} s after its time; {settle}"
    if worst * 2 > source.settle:
        return [ProbeResult("lag", "warning", found, f"GATEWAY_SETTLE={max(30, round(worst * 4))}")]
    return [ProbeResult("lag", "ok", f"{found}, which is enough")]
