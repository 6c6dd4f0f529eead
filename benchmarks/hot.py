"""Item 5: 32 callers who ask the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import History, history
from benchmarks.load import Load, compare, load
from benchmarks.pairs import Report, Target

CALLERS = 32


def measure(*, quick: bool) -> Report:
    report = Report("32 callers who ask the same")
    account = history("taktikal", 2_000 if quick else 20_000)
    rounds, seconds = (1, 0.3) if quick else (5, 2.0)
    env = {"GATEWAY_TOTALS_TTL": "3600", "GATEWAY_PAGE_CACHE_TTL": "60"}
    with serving.mock(account.folder) as mock, serving.gateway(serving.taktikal_settings(mock.url) | env) as gateway:
        page = f"/events?{urlencode(account.window | {'limit': '100'})}"
        total = f"/events/count?{urlencode(account.window | {'exact': 'true'})}"
        counted = gateway.get(total)["sources"][0]
        assert counted["relation"] == "eq"
        mock.calls()
        first = gateway.get(page)
        assert len(first["data"]) == 100
        upstream = next(call for call in mock.calls() if re.search(r"activity\?", call) and "ProcessKey" not in call)
        with serving.stock(mock.url) as stock, serving.uvicorn("benchmarks.bare:app") as bare:
            contenders: dict[str, Callable[[], Load]] = {
                "the same page": lambda: load(gateway, [page], connections=CALLERS, seconds=seconds),
                "the same total": lambda: load(gateway, [total], connections=CALLERS, seconds=seconds),
                "stock, page": lambda: load(stock, [upstream], connections=CALLERS, seconds=seconds),
                "stock, total": lambda: load(stock, [_total(upstream)], connections=CALLERS, seconds=seconds),
                "a route that asks nobody": lambda: load(bare, ["/"], connections=CALLERS, seconds=seconds),
            }
            found, _ = compare(contenders, rounds)
        mock.calls()
        gateway.get(_fresh(account, 1))
        alone = len(mock.calls())
        load(gateway, [_fresh(account, 2)], connections=CALLERS, seconds=0.1)
        together = len(mock.calls())
    ratios = {
        "the same page": found.ratio("the same page", "stock, page"),
        "the same total": found.ratio("the same total", "stock, total"),
        "a route that asks nobody": found.ratio("a route that asks nobody", "stock, page"),
    }
    report.table(
        ["32 in flight", "answers/s", "of the stock pass-through's"],
        [[name, found.spread(name).text(0), ratios[name].text() if name in ratios else "1"] for name in found.values],
    )
    report.say(f"Calls to the provider for a page not asked for yet: {alone} by one caller, {together} by 32 at once.")
    report.targets += [
        Target("rate of one page, 32 callers, of a stock pass-through's", 8, ratios["the same page"], at_least=True),
        Target(
            "rate of a cached total, 32 callers, of a stock pass-through's",
            5,
            ratios["the same total"],
            at_least=True,
        ),
    ]
    return report


def _total(upstream: str) -> str:
    path, _, query = upstream.partition("?")
    return f"{path}/total?{query}"


def _fresh(account: History, seconds: int) -> str:
    """A page like the others that nobody has asked for yet: its window begins so much later."""
    since = (datetime.fromisoformat(account.since) + timedelta(seconds=seconds)).isoformat()
    return f"/events?{urlencode({'since': since, 'until': account.until, 'limit': '100'})}"
