"""Faults of a provider over real HTTP: the caller's response, the calls to the provider, and a correct walk afterwards.
Readable records of malformed responses are returned once. `docs/reliability.md` lists the faults."""

import asyncio
import gzip
import json
import random
import struct
import tracemalloc
import zlib
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from sandbox.serving import serve
from tests.contract import example
from tests.contract.account import providers_with_emulators, served_account
from tests.providers.faulty import (
    GZIPPED,
    ONE,
    PLAIN,
    SINCE,
    UNTIL,
    VENDORS,
    Rewritten,
    check_walk,
    emulator,
    gateway,
    one_of,
    pointing_at,
    reading,
    rows,
    truth,
)
from tests.providers.http.servers import answering, server
from tests.worlds import SubnotoOptions, TaktikalOptions, World, world


def single(one: World) -> dict[str, str]:
    """Return a query for one process of Taktikal's, which takes one call."""
    return {"source": "taktikal", "envelope_id": next(iter(one.taktikal.history.truth()))["processKey"]}


@pytest.mark.parametrize(
    ("fault", "status_and_code", "calls"),
    [
        (500, (502, "source_failed"), 3), (504, (504, "source_timeout"), 3), (503, (503, "source_unavailable"), 3),
        ("cut", (503, "source_unavailable"), 3), (401, (502, "source_unauthorized"), 1),
        (403, (502, "source_failed"), 1),
    ],
)  # fmt: skip
async def test_a_failure_is_returned_after_three_attempts_or_immediately(
    fault: int | str, status_and_code: tuple[int, str], calls: int
) -> None:
    async with one_of("taktikal") as one, gateway(one.env) as found:
        faults = emulator(one).faults
        if fault == "cut":
            faults.cut(times=3)
        else:
            faults.answer(fault, {"www-authenticate": 'Basic realm="provider"'}, times=3)
        assert await found.problem(**single(one)) == (*status_and_code, None)
        assert one.calls() == calls
        faults.clear()
        await check_walk(one, found)


async def test_a_provider_that_is_down_and_comes_back() -> None:
    async with one_of("taktikal") as one:
        with serve(emulator(one).app) as url:
            port = int(url.rsplit(":", 1)[1])
        async with gateway({**one.env, "TAKTIKAL_BASE_URL": f"{url}/api"}) as found:
            assert await found.problem(**single(one)) == (503, "source_unavailable", None)
            assert one.calls() == 0
            with serve(emulator(one).app, port=port):
                await check_walk(one, found)


async def test_a_walk_among_random_faults_is_exactly_right() -> None:
    rng = random.Random(7)
    async with (
        world(taktikal=TaktikalOptions(events=800), subnoto=SubnotoOptions(events=800, tie_burst=3)) as one,
        gateway(one.env) as found,
    ):
        for each in (one.taktikal, one.subnoto):
            for _ in range(12):
                rng.choice(
                    [
                        lambda faults: faults.answer(500), lambda faults: faults.answer(503, {"retry-after": "2"}),
                        lambda faults: faults.answer(429, {"retry-after": "400"}),
                        lambda faults: faults.answer(502, times=5), lambda faults: faults.cut(),
                        lambda faults: faults.html(), lambda faults: faults.malformed(),
                        lambda faults: faults.answer(401),
                    ]
                )(each.faults)  # fmt: skip
        events = await found.walk(limit=37)
        assert rows(events) == truth(one)
        assert len({event["id"] for event in events}) == len(events)


@pytest.mark.parametrize(("status", "form"), [(429, "seconds"), (503, "date")])
async def test_a_long_retry_after_is_returned_and_pauses_all_requests(status: int, form: str) -> None:
    async with one_of("taktikal") as one, gateway(one.env) as found:
        moment = format_datetime(one.clock() + timedelta(seconds=300), usegmt=True)
        emulator(one).faults.answer(status, {"Retry-After": "300" if form == "seconds" else moment})
        assert await found.problem(**single(one)) == (503, "source_unavailable", 300.0)
        found.timer.offset += 100
        status_, code, wait = await found.problem()
        assert (status_, code) == (503, "source_unavailable")
        assert wait is not None
        assert 195 < wait <= 200
        assert one.calls() == 1
        health = await found.health("taktikal")
        assert health["circuit"] == "closed"
        assert health["paused_until"] is not None
        found.timer.offset += 200
        await check_walk(one, found)
        assert (await found.health("taktikal"))["paused_until"] is None


async def test_the_circuit_opens_makes_one_trial_call_and_backs_off() -> None:
    async with one_of("taktikal") as one, gateway(one.env) as found:
        query = single(one)
        assert (await found.health("taktikal"))["circuit"] == "closed"
        emulator(one).faults.answer(500, times=10_000)
        assert await found.problem(**query) == (502, "source_failed", None)
        assert await found.problem(**query) == (502, "source_failed", None)
        assert one.calls() == 5  # the sixth attempt was not made
        for wait in (30, 60, 120):
            status, code, retry_after = await found.problem(**query)
            assert (status, code) == (503, "source_unavailable")
            assert retry_after is not None
            assert wait - 5 < retry_after <= wait
            health = await found.health("taktikal")
            assert health["circuit"] == "open"
            assert health["retry_at"] > health["since"]
            found.timer.offset += wait
            before = one.calls()
            answers = await asyncio.gather(*(found.get(**query) for _ in range(10)))
            assert {answer.status_code for answer in answers} <= {502, 503}
            assert one.calls() == before + 1
        emulator(one).faults.clear()
        found.timer.offset += 240
        await check_walk(one, found)
        health = await found.health("taktikal")
        assert (health["circuit"], health["consecutive_failures"], health["retry_at"]) == ("closed", 0, None)
        assert (health["in_flight"], health["waiting"]) == (0, 0)


async def test_the_circuit_of_one_source_leaves_the_other_alone() -> None:
    async with (
        world(taktikal=TaktikalOptions(events=100), subnoto=SubnotoOptions(events=100)) as one,
        gateway(one.env) as found,
    ):
        one.taktikal.faults.answer(500, times=10_000)
        for _ in range(2):
            await found.get(source="taktikal")
        answer = await found.get(partial="true", limit=1000)
        assert answer.status_code == 200
        states = {source["name"]: source["status"] for source in answer.json()["sources"]}
        assert states == {"subnoto": "ok", "taktikal": "failed"}
        assert {event["source"] for event in answer.json()["data"]} == {"subnoto"}
        assert (await found.health("subnoto"))["circuit"] == "closed"
        one.taktikal.faults.clear()
        found.timer.offset += 30
        await check_walk(one, found)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_provider_that_hangs_times_out_at_the_deadline(vendor: str) -> None:
    async with one_of(vendor) as one, gateway(one.env, deadline=0.6) as found:
        emulator(one).faults.hang(20, times=10)
        status, code, _ = await found.problem()
        assert (status, code) == (504, "source_timeout")
        emulator(one).faults.clear()
        await check_walk(one, found)


@pytest.mark.parametrize(
    ("begin", "endless", "expected"),
    [
        (PLAIN + b"[", b" ", [(504, "source_timeout")]),
        # Empty stored blocks: compressed data without end or content.
        (GZIPPED + gzip.compress(b"", 0, mtime=0)[:10], b"\x00\x00\x00\xff\xff", [(504, "source_timeout")]),
        (GZIPPED, gzip.compress(b" " * 100, mtime=0)[:1], [(504, "source_timeout"), (502, "source_failed")]),
    ],
    ids=["plain", "empty-blocks", "header"],
)
async def test_a_trickling_response_times_out_at_the_deadline(
    begin: bytes, endless: bytes, expected: list[tuple[int, str]]
) -> None:
    async def trickle(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(endless)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(trickle) as (url, heads), gateway(pointing_at(url), deadline=0.8) as found:
        assert (await found.problem(**ONE))[:2] in expected
        assert len(heads) == 1
        assert (await found.health("taktikal"))["in_flight"] == 0


@pytest.mark.parametrize("vendor", VENDORS)
async def test_concurrent_calls_do_not_exceed_the_setting(vendor: str) -> None:
    async with one_of(vendor, events=2000) as one:
        emulator(one).latency = 0.005
        env = {**one.env, f"{vendor.upper()}_CONCURRENCY": "2"}
        async with gateway(env) as found:
            answers = await asyncio.gather(*(found.get(limit=500) for _ in range(6)))
            assert {answer.status_code for answer in answers} == {200}
            assert emulator(one).calls.most_in_flight == 2
            await check_walk(one, found)


MEBIBYTE = 1024 * 1024


async def test_a_gzip_bomb_is_not_unpacked() -> None:
    packer, checksum = zlib.compressobj(9, wbits=-15), 0
    piece = b"[" + b" " * (MEBIBYTE - 1)
    block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # which may be repeated
    for _ in range(1024):
        checksum = zlib.crc32(piece, checksum)
    head = gzip.compress(b"", mtime=0)[:10]
    bomb = head + block * 1024 + packer.flush() + struct.pack("<II", checksum, 1024 * MEBIBYTE)
    assert len(bomb) < 2 * MEBIBYTE  # of a gibibyte
    async with server(answering(GZIPPED + bomb, then_close=True)) as (url, heads), gateway(pointing_at(url)) as found:
        tracemalloc.start()
        try:
            assert await found.problem(**ONE) == (502, "source_failed", None)
            assert tracemalloc.get_traced_memory()[1] < 200 * MEBIBYTE
        finally:
            tracemalloc.stop()
        assert len(heads) == 2, "not exactly one retry with fewer records"


@pytest.mark.parametrize(
    ("vendor", "member"), [("taktikal", b'"createdAt"'), ("subnoto", b'"timestamp"'), ("signbox", b'"created_at"')]
)
async def test_a_page_without_a_readable_record_fails(vendor: str, member: bytes) -> None:
    """Signbox uses the kit. A follower reads new records only, and continues."""
    provider, make_sandbox = {**providers_with_emulators(), "signbox": (example.PROVIDER, example.make_sandbox)}[vendor]
    with served_account(provider, make_sandbox, events=1_000, days=6) as account:
        async with gateway(account.env, other=[provider]) as found:
            assert (await found.get()).status_code == 200
            usual = account.emulator.calls.total
            account.tap.replacements = {member: b'"renamed"'}
            assert await found.problem() == (502, "source_failed", None)
            assert account.emulator.calls.total <= 4 * usual, "the whole log was read"
            for query in ({}, {"order": "asc", "limit": 7}, {"type": "envelope.completed"}):
                assert await found.problem(**query) == (502, "source_failed", None)
            assert (await found.get("/events/count", since=SINCE, until=UNTIL, exact="true")).status_code == 502
            following = {"since": SINCE, "order": "asc", "follow": "true"}
            followed = await found.client.get("/events", params=following)
            assert (followed.status_code, followed.json()["data"]) == (200, [])
            assert "cannot be read" in followed.json()["sources"][0]["reason"]


async def test_records_with_unusual_texts_are_returned() -> None:
    """Half a surrogate pair, NUL, and a text of a megabyte."""
    values = [b'"\\ud83d"', b'"\\u0000"', b'"' + b"x" * MEBIBYTE + b'"']
    async with one_of("subnoto", events=20) as one:
        for value in values:

            def change(response: Any, value: bytes = value) -> bytes:
                for record in response.get("logs", []):
                    record["eventData"] = {"odd": "@@@"}
                return json.dumps(response).encode().replace(b'"@@@"', value)

            async with reading(one, Rewritten(emulator(one).app, change)) as found:
                await check_walk(one, found)
                answer = await found.get(include="raw")
                assert answer.status_code == 200
                json.loads(answer.content)
