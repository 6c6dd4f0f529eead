"""The behaviour of every source, for any provider: order, exactly once, events by id, filters, and `Batch` (see
`app/providers/base.py`)."""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from app.domain.errors import SourceError
from app.domain.position import Key
from app.domain.query import GATEWAY_FILTERS, OWN_FILTERS, PROVIDER_FILTERS, Query, matches_type
from app.paging.event_id import decode_event_id, source_hash
from app.providers.base import CallBudget, ReadRequest, Record, Source
from tests.contract.account import DAY, Account, read, read_stream, time_as_sent

ASC, DESC = Query(order="asc"), Query(order="desc")


class SourceContract:
    async def test_each_event_is_read_once_and_both_orders_agree(self, account: Account) -> None:
        async with account.source() as source:
            up = await read(source, ASC, account.since, account.until)
            down = await read(source, DESC, account.since, account.until)
            assert len(up) == account.events
            assert len({record.key for record in up}) == account.events
            assert [record.key for record in down] == [record.key for record in up][::-1]
            ids = [record.event().id for record in up]
            assert len(set(ids)) == account.events
            assert [record.event().id for record in down] == ids[::-1]
        assert account.emulator.calls.refused == []

    @pytest.mark.parametrize(("want", "calls"), [(1, 1), (3, 64), (1000, 2)])
    async def test_batch_sizes_do_not_change_the_records(self, account: Account, want: int, calls: int) -> None:
        since = account.until - 9 * DAY
        async with account.source() as source:
            for query in (ASC, DESC):
                whole = await read(source, query, since, account.until)
                parts = await read(source, query, since, account.until, want=want, calls=calls)
                assert [record.key for record in parts] == [record.key for record in whole]

    async def test_reading_resumes_behind_any_record(self, account: Account) -> None:
        async with account.source() as source:
            for query in (ASC, DESC):
                for stream in source.streams(query):
                    only = await _keys(source, stream, query, account)
                    for index in random.Random(1).sample(range(len(only)), min(4, len(only))):
                        assert await _keys(source, stream, query, account, only[index]) == only[index + 1 :]

    async def test_windows_are_exact_to_the_microsecond(self, account: Account) -> None:
        async with account.source() as source:
            times = [record.key[0] for record in await read(source, ASC, account.since, account.until)]
            for since in random.Random(2).sample(times, 3):
                for begin in (since - 1, since, since + 1):
                    until = since + DAY
                    found = await read(source, ASC, begin, until)
                    assert [record.key[0] for record in found] == [time for time in times if begin <= time < until]
                    moment = await read(source, DESC, begin, begin + 1)
                    assert len(moment) == times.count(begin)

    async def test_every_event_is_found_from_its_id_by_another_replica(self, account: Account) -> None:
        async with account.source() as source, account.source() as other:
            records = await read(source, DESC, account.since, account.until)
            for record in random.Random(3).sample(records, 15):
                parts = decode_event_id(record.event().id)
                assert parts.source_hash == source_hash(source.name)
                found = await other.find(parts.locator, CallBudget())
                assert [each.event().id for each in found].count(record.event().id) == 1
            for wrong in (
                b"", b"\x00", b"\xff" * 20, b"\xff" * 30, parts.locator[:-1],
                b"\x93\x01\x02\x03", b"\x94\x01\x02\x03\x04", b"\x94\xa1x\x05\xc4\x02u1\xc4\x00",
            ):  # fmt: skip
                assert list(await other.find(wrong, CallBudget())) == []
        assert account.emulator.calls.refused == []

    async def test_calls_and_records_are_counted_in_the_budget(self, account: Account) -> None:
        async with account.source() as source:
            account.emulator.calls.reset()
            budget = CallBudget()
            stream = source.streams(DESC)[0]
            reader = source.reader(stream, ReadRequest(DESC, account.since, account.until, (account.until,)), budget)
            batch = await reader.read(10, 64)
            assert budget.calls == account.emulator.calls.total > 0
            # Not `calls.records`: the emulator may not have finished the last call yet.
            assert budget.records == sum(call.records for call in account.emulator.calls.calls) > 0
            assert budget.as_of == account.until
            hint = reader.hint(batch.records[-1].key)
            assert hint is None or all(isinstance(number, int) for number in hint)

    async def test_each_filter_is_native_or_of_the_gateway_or_not_applicable(self, account: Account) -> None:
        async with account.source() as source:
            assert set(source.filters.values()) <= {"native", "gateway", "not_applicable"}
            known = {"since", "until", "category", "envelope_id", *GATEWAY_FILTERS, *PROVIDER_FILTERS}
            assert set(source.filters) == known
            # Only the provider can evaluate these.
            assert all(source.filters[name] in ("native", "not_applicable") for name in PROVIDER_FILTERS)
            assert all(source.filters[name] != "not_applicable" for name in ("since", "until", "envelope_id", "type"))

    async def test_streams_do_not_depend_on_the_order(self, account: Account) -> None:
        async with account.source() as source:
            assert list(source.streams(ASC)) == list(source.streams(DESC))
            names = list(source.streams(DESC))
            assert len(set(names)) == len(names) > 0
            assert list(source.streams(Query(category=("no such category",)))) == []
            assert list(source.streams(Query(type=("no.such",)))) == []

    async def test_unknown_envelopes_beside_a_known_one_select_nothing(self, account: Account) -> None:
        async with account.source() as source:
            records = await read(source, ASC, account.since, account.until)
            envelope = next(e.id for r in reversed(records) if (e := r.event().envelope) is not None)
            expected = [r.event().id for r in records if (e := r.event().envelope) is not None and e.id == envelope]
            query = Query(
                order="asc", envelope_id=tuple(sorted((envelope, "unknown", "99999999-9999-4999-8999-999999999999")))
            )
            found = await read(source, query, account.since, account.until)
            assert [record.event().id for record in found] == expected
        assert account.emulator.calls.refused == []

    async def test_a_filter_by_type_loses_no_matching_event(self, account: Account) -> None:
        """A source may return events of other types, which the gateway filters."""
        async with account.source() as source:
            records = await read(source, ASC, account.since, account.until)
            for query in _type_queries(records):
                found = {record.event().id for record in await read(source, query, account.since, account.until)}
                assert {record.event().id for record in records if _matches(query, record)} <= found, query.given()
        assert account.emulator.calls.refused == []

    async def test_a_later_read_shows_what_changed_at_the_provider(self, account: Account) -> None:
        """A source that keeps responses loses late records."""
        async with account.source() as source:
            for query in (ASC, DESC):
                before = await read(source, query, account.since, account.until)
                account.tap.members = {"contractNote": "added later"}
                try:
                    after = await read(source, query, account.since, account.until)
                finally:
                    account.tap.reset()
                assert len(after) == len(before)
                assert all(b"added later" in msgspec.json.encode(record.raw()) for record in after)

    async def test_a_failure_is_a_source_error(self, account: Account) -> None:
        async with account.source() as source:
            before = [record.key for record in await read(source, DESC, account.since, account.until)]
        assert before
        faults = account.emulator.faults
        statuses = [partial(faults.answer, status, body=b"{}") for status in (200, 400, 401, 404, 500)]
        for inject in (faults.malformed, faults.html, *statuses):
            inject(times=100)
            async with account.source() as source:
                try:
                    with pytest.raises(SourceError):
                        await read(source, DESC, account.since, account.until)
                finally:
                    faults.clear()
                after = await read(source, DESC, account.since, account.until)
            assert [record.key for record in after] == before, "a failure changed later results"

    async def test_a_total_agrees_with_the_records_read(self, account: Account) -> None:
        async with account.source() as source:
            records = await read(source, ASC, account.since, account.until)
            envelope = next(record.key[3] for record in records if record.key[3])
            queries = [ASC, DESC, Query(envelope_id=(envelope,)), *_type_queries(records)]
            # The gateway requests no totals with the filters that it alone judges.
            for query in (one for one in queries if not any(getattr(one, name) for name in OWN_FILTERS)):
                found = await source.total(query, account.since, account.until, CallBudget())
                matches = [record for record in records if _matches(query, record)]
                counts = {"events": len(matches), "envelopes": len({r.key[3] for r in matches if r.key[3]})}
                truth = counts[found.unit]
                assert found.relation != "eq" or found.value == truth, query.given()
                assert found.relation != "gte" or found.value <= truth, query.given()
                assert found.relation != "estimate" or truth / 1.5 <= found.value <= truth * 1.5

    async def test_the_probe_reports_failures_and_never_raises(self, account: Account) -> None:
        async with account.source() as source:
            good = await source.probe(CallBudget())
            assert good
            assert all(result.state != "failed" for result in good)
        for status in (401, 404):
            account.emulator.faults.answer(status, times=100, body=b"{}")
            try:
                async with account.source() as source:
                    assert any(result.state == "failed" for result in await source.probe(CallBudget()))
            finally:
                account.emulator.faults.clear()

    async def test_settle_is_the_configured_value(self, account: Account) -> None:
        for settle in (0.0, 77.5):
            async with account.source(settle=settle) as source:
                assert source.settle == settle

    async def test_a_position_may_lie_within_a_tie(self, account: Account) -> None:
        seen = 0
        async with account.source() as source:
            for query in (ASC, DESC):
                for stream in source.streams(query):
                    keys = await _keys(source, stream, query, account)
                    ties = [i for i in range(1, len(keys)) if keys[i][0] == keys[i - 1][0]]
                    seen += len(ties)
                    for index in ties[:3]:
                        rest = await _keys(source, stream, query, account, keys[index - 1])
                        assert rest == keys[index:], "a page that ends within a tie lost or repeated a record"
            assert seen, "the emulator must have records of equal time"

    async def test_unreadable_records_are_counted(self, account: Account) -> None:
        """All records of one time are made unreadable: they are counted, and all others are returned."""
        async with account.source() as source:
            records = await read(source, ASC, account.since, account.until)
        spoiled = time_as_sent(records[len(records) // 2])
        readable = [record.event().id for record in records if time_as_sent(record) != spoiled]
        account.tap.replacements = {msgspec.json.encode(spoiled): b'"never"'}
        try:
            async with account.source() as source:
                bad: list[int] = []
                found = await read(source, ASC, account.since, account.until, bad=bad)
        finally:
            account.tap.reset()
        assert [record.event().id for record in found] == readable
        assert sum(bad) >= len(records) - len(readable) > 0

    async def test_describe_contains_no_secret(self, account: Account) -> None:
        async with account.source() as source:
            await read(source, DESC, account.until - DAY, account.until)
            shown = str(source.describe())
            words = ("KEY", "TOKEN", "SECRET", "PASSWORD")
            secrets = [value for name, value in account.env.items() if any(word in name for word in words)]
            assert secrets, f"no variable in `env` of the emulator has one of {words} in its name"
            assert not any(secret in shown for secret in secrets)


def _type_queries(records: Sequence[Record]) -> list[Query]:
    types = sorted({record.type for record in records} - {"unknown"})
    theirs = sorted({record.provider_type for record in records})
    filters: list[dict[str, Any]] = [
        *({"type": (one,)} for one in (*types[:6], "unknown")),
        {"type": tuple(types[:3])},
        {"type": (f"{types[-1].partition('.')[0]}.*",)},
        {"type": (types[0], "unknown")},
        {"type_not": (types[0],)},
        {"provider_type": tuple(theirs[:2])},
        {"provider_type": ("no such type",)},
        {"provider_type_not": (theirs[0],)},
        {"type": tuple(types[:3]), "provider_type": tuple(theirs)},
    ]
    return [ASC.model_copy(update=one) for one in filters]


def _matches(query: Query, record: Record) -> bool:
    in_envelope = not query.envelope_id or record.key[3] in query.envelope_id
    return in_envelope and matches_type(query, record.type, record.provider_type)


async def _keys(source: Source, stream: str, query: Query, account: Account, position: Key | None = None) -> list[Key]:
    found = await read_stream(source, stream, query, account.since, account.until, position=position)
    return [record.key for record in found]
