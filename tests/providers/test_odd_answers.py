"""Answers of a provider that are odd in size or content, over real HTTP: what can be read is delivered, once."""

import gzip
import json
import struct
import tracemalloc
import zlib
from typing import Any

import pytest

from app.domain.times import parse_rfc3339
from tests.contract.account import providers_with_emulators, served_account
from tests.contract.example.sandbox import make_sandbox as signbox_sandbox
from tests.contract.example.signbox import PROVIDER as SIGNBOX
from tests.providers.faulty import (
    GZIPPED,
    ONE,
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
)
from tests.providers.http.servers import answering, server

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
        assert len(heads) == 2, "one of fewer records, and no more"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"null"), (204, b"")])
async def test_nothing_is_an_empty_list(vendor: str, status: int, body: bytes) -> None:
    async with one_of(vendor) as one, gateway(one.env) as found:
        emulator(one).faults.answer(status, body=body, headers={"content-type": "application/json"}, times=1000)
        answer = await found.get()
        assert (answer.status_code, answer.json()["data"]) == (200, [])


DEEP = b"[" * 500 + b"]" * 500


@pytest.mark.parametrize(
    "value", [b"NaN", b"-Infinity", b"1e999", b"9" * 5000, DEEP], ids=["nan", "infinity", "range", "digits", "depth"]
)
async def test_one_bad_record_is_counted_and_the_rest_delivered(value: bytes) -> None:
    """The same record is bad in every answer; all others come, once."""
    async with one_of("subnoto", tie_burst=0) as one, gateway(one.env) as found:
        good = await found.walk()
        # A record alone in its microsecond: among others of the same, which one it is cannot be told from outside.
        times = [event["occurred_at"] for event in good]
        picked = next(event for event in good[40:] if times.count(event["occurred_at"]) == 1)
        moment = parse_rfc3339(picked["occurred_at"])

        def spoil(answer: Any) -> Any:
            for record in answer.get("logs", []):
                if record["timestamp"] * 1000 == moment:
                    record["eventData"] = {"odd": "@@@"}
            return json.dumps(answer).encode().replace(b'"@@@"', value)

        async with reading(one, Rewritten(emulator(one).app, spoil)) as spoilt:
            events = await spoilt.walk()
            assert [event["id"] for event in events] == [
                event["id"] for event in good if event["occurred_at"] != picked["occurred_at"]
            ]
            page = (await spoilt.get(limit=1000)).json()
            assert page["sources"][0]["reason"] == "1 records that cannot be read are left out"


@pytest.mark.parametrize(
    ("vendor", "member"), [("taktikal", b'"createdAt"'), ("subnoto", b'"timestamp"'), ("signbox", b'"created_at"')]
)
async def test_records_of_which_none_can_be_read_are_a_failure(vendor: str, member: bytes) -> None:
    """Signbox is on the kit. A follower has nothing but what is new, and goes on."""
    provider, make_sandbox = {**providers_with_emulators(), "signbox": (SIGNBOX, signbox_sandbox)}[vendor]
    with served_account(provider, make_sandbox, events=1_000, days=6) as account:
        async with gateway(account.env, other=[provider]) as found:
            assert (await found.get()).status_code == 200
            usual = account.emulator.calls.total
            account.tap.replacements = {member: b'"renamed"'}
            assert await found.problem() == (502, "source_failed", None)
            assert account.emulator.calls.total <= 4 * usual, "the whole log is not read for it"
            for query in ({}, {"order": "asc", "limit": 7}, {"type": "envelope.completed"}):
                assert await found.problem(**query) == (502, "source_failed", None)
            assert (await found.get("/events/count", since=SINCE, until=UNTIL, exact="true")).status_code == 502
            following = {"since": SINCE, "order": "asc", "follow": "true"}
            followed = await found.client.get("/events", params=following)
            assert (followed.status_code, followed.json()["data"]) == (200, [])
            assert "cannot be read" in followed.json()["sources"][0]["reason"]


async def test_odd_texts_are_delivered() -> None:
    """Half a surrogate pair, NUL, and a text of a megabyte: no reason to lose a record."""
    values = [b'"\\ud83d"', b'"\\u0000"', b'"' + b"x" * MEBIBYTE + b'"']
    async with one_of("subnoto", events=20) as one:
        for value in values:

            def change(answer: Any, value: bytes = value) -> bytes:
                for record in answer.get("logs", []):
                    record["eventData"] = {"odd": "@@@"}
                return json.dumps(answer).encode().replace(b'"@@@"', value)

            async with reading(one, Rewritten(emulator(one).app, change)) as found:
                await check_walk(one, found)
                answer = await found.get(include="raw")
                assert answer.status_code == 200
                json.loads(answer.content)
