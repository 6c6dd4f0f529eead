"""Pages of 100 events over HTTP, and 32 callers with one query, compared with pass-throughs of the vendor's bytes."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from benchmarks import serving
from benchmarks.histories import History, history
from benchmarks.load import load
from benchmarks.pairs import Report, Spread, paired
from benchmarks.serving import Server

FOLLOW = "/events?limit=100&cursor="
#: By requests in flight: shares of the rates of the pass-throughs.
LEAST = {1: {"same": 0.45, "stock": 0.65}, 32: {"same": 0.42, "stock": 0.9}}
SAMPLE = 60  #: pages whose upstream calls the pass-throughs repeat
CALLERS = 32


def walk(gateway: Server, account: History) -> list[str]:
    """Return the targets of the pages after the first, and assert that each event comes once."""
    target, targets, ids = f"/events?{urlencode(account.window | {'limit': '100'})}", [], list[str]()
    while True:
        page = gateway.get(target)
        ids += [event["id"] for event in page["data"]]
        if page["page"]["next_cursor"] is None:
            assert len(ids) == len(set(ids)) == account.events, f"{len(ids)} of {account.events} events"
            return targets
        target = FOLLOW + page["page"]["next_cursor"]
        targets.append(target)


def measure(*, quick: bool) -> Report:
    report = Report("A page of 100 events")
    account = history("taktikal", 2_000 if quick else 100_000)
    rounds, seconds = (1, 0.3) if quick else (5, 2.0)
    secret = {"GATEWAY_CURSOR_SECRET": "shared-by-both-gateways-which-read-the-same-cursors"}
    with (
        serving.mock(account.folder) as mock,
        serving.gateway(serving.account("taktikal", mock) | secret) as gateway,
        serving.gateway(serving.account("taktikal", mock) | secret, without="taktikal") as without,
    ):
        targets = walk(gateway, account)
        starts = targets[:: max(1, len(targets) // 64)]
        mock.get("/-/calls")
        for target in targets[1 : SAMPLE + 1]:
            gateway.get(target)
        # The pass-throughs repeat the calls of these pages, one a page.
        upstream = [call for call in mock.get("/-/calls") if "/total" not in call]
        with (
            serving.passthrough("same", mock) as same,
            serving.passthrough("stock", mock) as stock,
            serving.passthrough("floor", mock) as floor,
        ):
            for n in (1, CALLERS):
                contenders: dict[str, Callable[[], float]] = {
                    "gateway": lambda n=n: load(gateway, starts, connections=n, seconds=seconds, follow=FOLLOW),
                    "without": lambda n=n: load(without, starts, connections=n, seconds=seconds, follow=FOLLOW),
                    "same": lambda n=n: load(same, upstream, connections=n, seconds=seconds),
                    "stock": lambda n=n: load(stock, upstream, connections=n, seconds=seconds),
                    "floor": lambda n=n: load(floor, upstream, connections=n, seconds=seconds),
                }
                found = paired(contenders, rounds)
                for name, least in LEAST[n].items():
                    label = {"same": "same-stack"}.get(name, name)
                    what = f"rate of pages of 100, {n} in flight, of a {label} pass-through's"
                    report.at_least(what, least, found.ratio("gateway", name))
                    report.floor(what, *(found.ratio(one, name) for one in ("floor", "without", "gateway")))
            report.at_most(*beside_the_calls(gateway, same, mock, rounds, seconds))
        with serving.gateway(serving.account("taktikal", mock) | secret, "--workers", "2") as two:
            workers = {"one": gateway, "two": two}
            found = paired(
                {
                    name: lambda server=server: load(server, starts[:1], connections=CALLERS, seconds=seconds)
                    for name, server in workers.items()
                },
                rounds,
            )
        what = "rate of pages of 100, 32 in flight: two workers, of one"
        report.at_least(what, 1.75, found.ratio("two", "one"))
    return report


def beside_the_calls(
    gateway: Server, same: Server, mock: Server, rounds: int, seconds: float
) -> tuple[str, float, Spread]:
    """Processor time of a page of one event beyond that of the same-stack pass-through, which makes the same calls:
    authentication, parsing, cursor, planning, the event, log line, metrics."""
    first = gateway.get("/events?since=2026-05-01T12:00:00Z&until=2026-05-02T12:00:00Z&limit=1")
    page = FOLLOW.replace("100", "1") + first["page"]["next_cursor"]
    mock.get("/-/calls")
    gateway.get(page)
    calls = mock.get("/-/calls")
    found = paired(
        {
            "gateway": lambda: processor_ms(gateway, [page], seconds),
            "same": lambda: len(calls) * processor_ms(same, calls, seconds),
        },
        rounds,
    )
    spent = [a - b for a, b in zip(found.values["gateway"], found.values["same"], strict=True)]
    return "processor time of a page of one event beside its calls, ms", 1, Spread.of(*spent)


def processor_ms(server: Server, targets: list[str], seconds: float) -> float:
    """Milliseconds of processor time for one request."""
    before = server.processor()
    rate = load(server, targets, connections=1, seconds=seconds)
    return 1000 * (server.processor() - before) / (rate * seconds)


def measure_hot(*, quick: bool) -> Report:
    report = Report("32 callers with one query")
    account = history("taktikal", 2_000 if quick else 20_000)
    rounds, seconds = (1, 0.3) if quick else (5, 2.0)
    env = {"GATEWAY_TOTALS_TTL": "3600", "GATEWAY_PAGE_CACHE_TTL": "60"}
    with serving.mock(account.folder) as mock, serving.gateway(serving.account("taktikal", mock) | env) as gateway:
        page = f"/events?{urlencode(account.window | {'limit': '100'})}"
        total = f"/events/count?{urlencode(account.window | {'exact': 'true'})}"
        assert gateway.get(total)["relation"] == "eq"
        mock.get("/-/calls")
        assert len(gateway.get(page)["data"]) == 100
        upstream = next(call for call in mock.get("/-/calls") if "activity?" in call and "ProcessKey" not in call)
        with serving.passthrough("stock", mock) as stock:
            targets = {
                "page": (gateway, page), "total": (gateway, total), "stock page": (stock, upstream),
                "stock total": (stock, upstream.replace("activity?", "activity/total?")),
            }  # fmt: skip
            found = paired(
                {
                    name: lambda server=server, target=target: load(
                        server, [target], connections=CALLERS, seconds=seconds
                    )
                    for name, (server, target) in targets.items()
                },
                rounds,
            )
    for what, name, least in (("one page", "page", 8), ("a cached total", "total", 5)):
        ratio = found.ratio(name, f"stock {name}")
        report.at_least(f"rate of {what}, 32 callers, of a stock pass-through's", least, ratio)
    return report
