"""Item 4: providers that take 100 ms a call. What is left to hide is only what has to be asked one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import History, history
from benchmarks.pairs import Report, Target, paired
from benchmarks.serving import Server

CALL = 0.1  #: seconds that a provider takes
_SOURCES = 5


def measure(*, quick: bool) -> Report:
    report = Report("Providers that take 100 ms a call")
    rounds = 1 if quick else 7
    subnoto = history("subnoto", 2_000 if quick else 20_000)
    taktikal = history("taktikal", 2_000 if quick else 20_000)
    with serving.mock(subnoto.folder, taktikal.folder) as mock, TemporaryDirectory(prefix="bench-") as folder:
        with serving.gateway(serving.subnoto_settings(mock.url)) as gateway:
            _large_page(report, gateway, mock, subnoto, rounds)
        with serving.gateway(serving.taktikal_settings(mock.url)) as gateway:
            _first_pages(report, gateway, mock, taktikal, rounds)
        with serving.gateway(KEYS, "--config", str(five_sources(mock.url, Path(folder)))) as gateway:
            _five(report, gateway, mock, taktikal, rounds)
    return report


def _large_page(report: Report, gateway: Server, mock: Server, account: History, rounds: int) -> None:
    first = f"/events?{urlencode(account.window | {'limit': '1000'})}"
    cursor = gateway.get(first)["page"]["next_cursor"]
    following = f"/events?limit=1000&cursor={cursor}"
    # A page of 1,000 spans three of the sixty days, of which the first page was the last three.
    elsewhere = (_until(account, 6 * days) for days in count(1))
    near = (_until(account, 1 + hours / 24) for hours in count(1))
    targets: dict[str, Callable[[], str]] = {
        "first page, of a stretch not read before": lambda: next(elsewhere),
        "first page, of a time not asked for before in a stretch that was read": lambda: next(near),
        "first page, asked for before": lambda: first,
        "a further page": lambda: following,
    }
    mock.get(f"/-/latency?{CALL}")
    for target in targets.values():
        assert len(gateway.get(target())["data"]) == min(1000, account.events)
    contenders = {name: lambda target=target: _seconds(gateway, target()) for name, target in targets.items()}
    found = paired({"one call": lambda: _seconds(mock, _SUBNOTO_CALL), **contenders}, rounds)
    mock.get("/-/latency?0")
    report.targets += [
        Target(f"1,000 Subnoto events: {name}; in the time of one call", 3, found.ratio(name, "one call"))
        for name in targets
    ]


def _first_pages(report: Report, gateway: Server, mock: Server, account: History, rounds: int) -> None:
    """First pages of Taktikal: each of a window that ends elsewhere, in the time of one call. The mock answers for days
    after its history, too: they are empty."""
    gateway.get(_until(account, 3))
    busy = (_until(account, 4 + hours / 24) for hours in count(1))
    empty = (_until(account, -days) for days in count(1))
    targets: dict[str, tuple[float, Callable[[], str]]] = {
        "first page": (1.5, lambda: next(busy)),
        "first page, the newest day empty": (4, lambda: next(empty)),
    }
    mock.get(f"/-/latency?{CALL}")
    contenders = {name: lambda target=target: _seconds(gateway, target()) for name, (_, target) in targets.items()}
    found = paired({"one call": lambda: _seconds(mock, _SUBNOTO_CALL), **contenders}, rounds)
    mock.get("/-/latency?0")
    report.targets += [
        Target(f"1,000 Taktikal events: {name}; in the time of one call", bound, found.ratio(name, "one call"))
        for name, (bound, _) in targets.items()
    ]


KEYS = {"COMPANY_KEY": "company", "API_KEY": "key"}


def _until(account: History, days: float) -> str:
    """A first page of a window that ends so much sooner."""
    until = (datetime.fromisoformat(account.until) - timedelta(days=days)).isoformat()
    return f"/events?{urlencode(account.window | {'until': until, 'limit': '1000'})}"


def five_sources(url: str, folder: Path) -> Path:
    """A configuration with five Taktikal accounts."""
    tables = [
        f'[[sources]]\nname = "account-{number}"\nprovider = "taktikal"\nbase_url = "{url}/api"\n'
        'company_key_env = "COMPANY_KEY"\napi_key_env = "API_KEY"\n'
        for number in range(1, _SOURCES + 1)
    ]
    path = folder / "five.toml"
    path.write_text("\n".join(tables))
    return path


def _five(report: Report, gateway: Server, mock: Server, account: History, rounds: int) -> None:
    """A page over five sources, against the slowest of them asked alone, by cursors of the same depth."""
    targets = {}
    for name in [f"account-{number}" for number in range(1, _SOURCES + 1)]:
        targets[name] = _second_page(gateway, account.window | {"source": name})
    targets["all five"] = _second_page(gateway, account.window)
    mock.get(f"/-/latency?{CALL}")
    found = paired({name: lambda target=target: _seconds(gateway, target) for name, target in targets.items()}, rounds)
    mock.get("/-/latency?0")
    singles = [name for name in targets if name != "all five"]
    for each in zip(*(found.values[name] for name in singles), strict=True):
        found.add("slowest", max(each))
    what = "a page over five sources, in the time of the slowest"
    report.targets.append(Target(what, 1.3, found.ratio("all five", "slowest")))


def _second_page(gateway: Server, parameters: dict[str, str]) -> str:
    cursor = gateway.get(f"/events?{urlencode(parameters)}")["page"]["next_cursor"]
    return f"/events?cursor={cursor}"


def _seconds(server: Server, target: str) -> float:
    begun = time.perf_counter()
    server.read(target)
    return time.perf_counter() - begun


#: Any one call; what it answers does not matter.
_SUBNOTO_CALL = "/api/signing/activity/total?StartDate=2026-06-01T00:00:00Z&EndDate=2026-06-01T00:00:01Z"
