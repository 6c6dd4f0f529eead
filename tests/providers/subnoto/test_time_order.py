"""Servers without the provider's order of time: it only checks, so that no page fails or becomes slow by it."""

from collections.abc import Mapping
from typing import Any

import pytest

from sandbox.serving import serve
from tests.providers.faulty import FAULTS, FailsCalls, check_walk, emulator, gateway, one_of


def is_by_time(_: str, sent: Mapping[str, Any]) -> bool:
    return sent.get("sortBy") == "timestamp"


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "hangs"])
async def test_no_page_fails_without_the_order_of_time(fault: int | str) -> None:
    async with one_of("subnoto") as one:
        server = FailsCalls(emulator(one).app, is_by_time, fault)
        with serve(server) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}) as found:
                await check_walk(one, found)
                for window in ({}, {"since": "2026-05-20T00:00:00Z"}, {"until": "2026-05-20T00:00:00Z"}):
                    for path in ("/events", "/events/count", "/events/export"):
                        answer = await found.get(path, **{"since": "2026-05-10T00:00:00Z", **window})
                        assert answer.status_code == 200, answer.text
                health = await found.health("subnoto")
                assert (health["circuit"], health["consecutive_failures"]) == ("closed", 0)
        # The failure is remembered; both categories may have called at once.
        assert 1 <= server.calls <= (6 if fault in (500, 503, "closes") else 2)


async def test_half_of_the_time_is_left_to_a_server_that_hangs() -> None:
    async with one_of("subnoto") as one:
        server = FailsCalls(emulator(one).app, is_by_time, "hangs")
        with serve(server) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}, deadline=4.0) as found:
                answer = await found.get(since="2026-05-20T00:00:00Z")
                assert answer.status_code == 200, answer.text
                await check_walk(one, found)
        assert 1 <= server.calls <= 2


async def test_refused_credentials_are_told() -> None:
    async with one_of("subnoto") as one:
        with serve(FailsCalls(emulator(one).app, is_by_time, 401)) as url:
            async with gateway({**one.env, "SUBNOTO_BASE_URL": url}) as found:
                assert await found.problem(since="2026-05-20T00:00:00Z") == (502, "source_unauthorized", None)
