"""Vendors that take 100 ms a call, in multiples of one call: only sequential calls count."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import History, history
from benchmarks.pairs import Report, Rounds, paired
from benchmarks.serving import Server

KEYS = {"COMPANY_KEY": "company", "API_KEY": "key"}
ONE_CALL = "/api/signing/activity/total?StartDate=2026-06-01T00:00:00Z&EndDate=2026-06-01T00:00:01Z"
NAMES = [f"account-{number}" for number in range(1, 6)]
SOURCE = """[[sources]]\nname = "{}"\nprovider = "taktikal"\nbase_url = "{}/api"
company_key_env = "COMPANY_KEY"\napi_key_env = "API_KEY"\n"""

Targets = dict[str, Callable[[], str]]


def measure(*, quick: bool) -> Report:
    report, rounds = Report("Vendors that take 100 ms a call"), 1 if quick else 7
    subnoto, taktikal = (history(provider, 2_000 if quick else 20_000) for provider in ("subnoto", "taktikal"))
    with serving.mock(subnoto.folder, taktikal.folder) as mock, TemporaryDirectory(prefix="bench-") as folder:
        with serving.gateway(serving.account("subnoto", mock)) as gateway:
            first = f"/events?{urlencode(subnoto.window | {'limit': '1000'})}"
            following = f"/events?limit=1000&cursor={gateway.get(first)['page']['next_cursor']}"
            # A page of 1,000 events spans three of the sixty days; the first page had the last three.
            other_period = (until(subnoto, 6 * days) for days in count(1))
            same_period = (until(subnoto, 1 + hours / 24) for hours in count(1))
            targets: Targets = {
                "first page of a new period": lambda: next(other_period),
                "first page of a new window in a period read before": lambda: next(same_period),
                "repeated first page": lambda: first,
                "a further page": lambda: following,
            }
            found = slowly(gateway, mock, targets, rounds)
            for name in targets:
                what = f"1,000 Subnoto events: {name}; in the time of one call"
                report.at_most(what, 3, found.ratio(name, "one call"))
        with serving.gateway(serving.account("taktikal", mock)) as gateway:
            gateway.get(until(taktikal, 3))
            busy = (until(taktikal, 4 + hours / 24) for hours in count(1))
            empty = (until(taktikal, -days) for days in count(1))  # days after the history
            targets = {"first page": lambda: next(busy), "first page, the newest day empty": lambda: next(empty)}
            found = slowly(gateway, mock, targets, rounds)
            for name, bound in zip(targets, (1.5, 4), strict=True):
                what = f"1,000 Taktikal events: {name}; in the time of one call"
                report.at_most(what, bound, found.ratio(name, "one call"))
        path = Path(folder, "five.toml")
        path.write_text("".join(SOURCE.format(name, mock.url) for name in NAMES))
        with serving.gateway(KEYS, "--config", str(path)) as gateway:
            # Second pages: cursors of the same depth.
            pages = {name: second_page(gateway, taktikal.window | {"source": name}) for name in NAMES}
            pages["all"] = second_page(gateway, taktikal.window)
            found = slowly(gateway, mock, {name: lambda page=page: page for name, page in pages.items()}, rounds)
        found.values["slowest"] = [max(each) for each in zip(*(found.values[name] for name in NAMES), strict=True)]
        report.at_most("a page over five sources, in the time of the slowest", 1.3, found.ratio("all", "slowest"))
    return report


def slowly(gateway: Server, mock: Server, targets: Targets, rounds: int) -> Rounds:
    mock.get("/-/latency?0.1")
    try:
        for target in targets.values():
            assert gateway.get(target())["data"]
        contenders = {name: lambda target=target: gateway.seconds(target()) for name, target in targets.items()}
        return paired({"one call": lambda: mock.seconds(ONE_CALL), **contenders}, rounds)
    finally:
        mock.get("/-/latency?0")


def until(account: History, days: float) -> str:
    """Return the target of the first page of a window that ends `days` before the account's."""
    end = (datetime.fromisoformat(account.until) - timedelta(days=days)).isoformat()
    return f"/events?{urlencode(account.window | {'until': end, 'limit': '1000'})}"


def second_page(gateway: Server, parameters: dict[str, str]) -> str:
    return f"/events?cursor={gateway.get(f'/events?{urlencode(parameters)}')['page']['next_cursor']}"
