"""Item 2: pages of 100 events over HTTP, against sending the provider's bytes on unread."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import History, history
from benchmarks.load import Load, compare, load
from benchmarks.pairs import Report, Target
from benchmarks.serving import Server

LIMIT = 100
_FOLLOW = f"/events?limit={LIMIT}&cursor="
#: By requests in flight: shares of the rates of the same-stack and of the stock pass-through.
_LEAST = {1: (0.45, 0.65), 32: (0.42, 0.9)}
_SAMPLE = 60  #: pages whose upstream calls the pass-throughs repeat


def walk(gateway: Server, account: History, limit: int, most: int) -> list[str]:
    """The cursors of up to `most` pages. Raises AssertionError where an event comes twice."""
    target, cursors, seen = f"/events?{urlencode(account.window | {'limit': str(limit)})}", [], set()
    while len(cursors) < most:
        page = gateway.get(target)
        ids = {event["id"] for event in page["data"]}
        assert len(ids) == len(page["data"]), "an event came twice on a page"
        assert not ids & seen, "an event came twice"
        seen |= ids
        cursor = page["page"]["next_cursor"]
        if cursor is None:
            assert len(seen) == account.events, f"{len(seen)} of {account.events} events came"
            break
        cursors.append(cursor)
        target = f"/events?limit={limit}&cursor={cursor}"
    return cursors


def measure(*, quick: bool) -> Report:
    report = Report("A page of 100 events")
    account = history("taktikal", 2_000 if quick else 100_000)
    rounds, seconds = (1, 0.3) if quick else (5, 2.0)
    secret = {"GATEWAY_CURSOR_SECRET": "shared-by-both-gateways-which-read-the-same-cursors"}
    with serving.mock(account.folder) as mock, serving.gateway(serving.taktikal_settings(mock.url) | secret) as gateway:
        cursors = walk(gateway, account, LIMIT, 10_000)
        starts = [_FOLLOW + cursor for cursor in cursors[:: max(1, len(cursors) // 64)]]
        mock.calls()
        for cursor in cursors[1 : _SAMPLE + 1]:
            gateway.get(_FOLLOW + cursor)
        # The pass-throughs repeat the very calls of these pages, one a page.
        upstream = [call for call in mock.calls() if "/total" not in call]
        with serving.same_stack(mock.url) as same, serving.stock(mock.url) as stock:
            for in_flight in (1, 32):
                contenders: dict[str, Callable[[], Load]] = {
                    "gateway": lambda n=in_flight: load(
                        gateway, starts, connections=n, seconds=seconds, follow=_FOLLOW
                    ),
                    "same-stack": lambda n=in_flight: load(same, upstream, connections=n, seconds=seconds),
                    "stock": lambda n=in_flight: load(stock, upstream, connections=n, seconds=seconds),
                }
                found = compare(contenders, rounds)
                what = f"rate of pages of 100, {in_flight} in flight"
                for name, least in zip(("same-stack", "stock"), _LEAST[in_flight], strict=True):
                    ratio = found.ratio("gateway", name)
                    report.targets.append(Target(f"{what}, of a {name} pass-through's", least, ratio, at_least=True))
        with serving.gateway(serving.taktikal_settings(mock.url) | secret, "--workers", "2") as two:
            workers = {
                "one": lambda: load(gateway, starts[:1], connections=32, seconds=seconds),
                "two": lambda: load(two, starts[:1], connections=32, seconds=seconds),
            }
            found = compare(workers, rounds)
        what = "rate of pages of 100, 32 in flight: two workers, of one"
        report.targets.append(Target(what, 1.75, found.ratio("two", "one"), at_least=True))
    return report
