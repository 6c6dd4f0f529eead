"""Item 5: 32 callers who ask the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import history
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
        with serving.stock(mock.url) as stock:
            contenders: dict[str, Callable[[], Load]] = {
                "the same page": lambda: load(gateway, [page], connections=CALLERS, seconds=seconds),
                "the same total": lambda: load(gateway, [total], connections=CALLERS, seconds=seconds),
                "stock, page": lambda: load(stock, [upstream], connections=CALLERS, seconds=seconds),
                "stock, total": lambda: load(stock, [_total(upstream)], connections=CALLERS, seconds=seconds),
            }
            found = compare(contenders, rounds)
    for what, name, least in (("one page", "page", 8), ("a cached total", "total", 5)):
        ratio = found.ratio(f"the same {name}", f"stock, {name}")
        label = f"rate of {what}, 32 callers, of a stock pass-through's"
        report.targets.append(Target(label, least, ratio, at_least=True))
    return report


def _total(upstream: str) -> str:
    path, _, query = upstream.partition("?")
    return f"{path}/total?{query}"
