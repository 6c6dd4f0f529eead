"""Faults planted one at a time into the adapter under test: the suite must catch each."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from app.domain.errors import SourceError, SourceFailed
from app.domain.event import Event
from app.domain.position import Key, Position
from app.domain.query import Query, matches_type
from app.providers.base import Batch, CallBudget, Hint, ProbeResult, Reader, ReadRequest, Record, Total
from tests.contract.account import Account

HOUR = 3_600_000_000  #: µs

#: Each fault, and the test of the suite that catches it.
FAULTS = {
    "total doubled": "test_a_total_agrees_with_the_records_read",
    "probe raises": "test_the_probe_reports_failures_and_never_raises",
    "data dropped": "test_no_sent_member_is_dropped",
    "failed status is an empty page": "test_a_failure_is_a_source_error",
    "reader returns nothing": "test_each_event_is_read_once_and_both_orders_agree",
    "persons missing from person_values": "test_person_values_contain_all_names_and_addresses",
    "phones not private": "test_phones_and_national_ids_are_private",
    "settle ignored": "test_settle_is_the_configured_value",
    "unreadable records not counted": "test_unreadable_records_are_counted",
    "raw loses fields": "test_no_sent_member_is_dropped",
    "ties split at page edges": "test_a_position_may_lie_within_a_tie",
    "no as_of": "test_calls_and_records_are_counted_in_the_budget",
    "envelope filter ignored": "test_unknown_envelopes_beside_a_known_one_select_nothing",
    "signing links in q": "test_signing_links_are_removed_everywhere",
    "late records lost": "test_a_later_read_shows_what_changed_at_the_provider",
    "wrong order": "test_each_event_is_read_once_and_both_orders_agree",
    "record returned twice": "test_each_event_is_read_once_and_both_orders_agree",
    "time zone ignored": "test_windows_are_exact_to_the_microsecond",
    "second type ignored": "test_a_filter_by_type_loses_no_matching_event",
}


class PlantedFaults:
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_planted_fault_is_caught(self, small_account: Account, fault: str) -> None:
        check: Callable[[Account], Any] = getattr(self, FAULTS[fault])
        await check(small_account)
        with pytest.raises((AssertionError, pytest.fail.Exception, SourceError)):
            await check(replace(small_account, spoil=lambda source: FaultySource(source, fault)))


class _Wrapper:
    """Delegates to `wrapped`, except for one fault."""

    def __init__(self, wrapped: Any, fault: str) -> None:
        self._wrapped, self._fault = wrapped, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)


class FaultySource(_Wrapper):
    """A source with one of FAULTS."""

    @property
    def settle(self) -> float:
        return 30.0 if self._fault == "settle ignored" else self._wrapped.settle

    def streams(self, query: Query) -> Sequence[str]:
        return self._wrapped.streams(self._widened(query))

    def reader(self, stream: str, request: ReadRequest, budget: CallBudget) -> Reader:
        request = msgspec.structs.replace(request, query=self._widened(request.query))
        reader = FaultyReader(self._wrapped.reader(stream, request, budget), self._fault, request, budget)
        if self._fault == "late records lost":
            return self.__dict__.setdefault("kept", {}).setdefault(f"{stream} {request}", Replay(reader)).again()
        return reader

    def _widened(self, query: Query) -> Query:
        return query.model_copy(update={"envelope_id": ()}) if self._fault == "envelope filter ignored" else query

    async def total(self, query: Query, since: int, until: int, budget: CallBudget) -> Total:
        found: Total = await self._wrapped.total(query, since, until, budget)
        return Total(2 * found.value + 1, found.unit, "eq") if self._fault == "total doubled" else found

    async def probe(self, budget: CallBudget) -> Sequence[ProbeResult]:
        results: Sequence[ProbeResult] = await self._wrapped.probe(budget)
        if self._fault == "probe raises" and any(result.state == "failed" for result in results):
            raise SourceFailed("planted")
        return results


class Replay:
    """A reader that returns the batches of its first reading again."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._batches, self._next = reader, list[Batch](), 0

    def again(self) -> "Replay":
        self._next = 0
        return self

    async def read(self, want: int, max_calls: int) -> Batch:
        if self._next == len(self._batches):
            self._batches.append(await self._reader.read(want, max_calls))
        self._next += 1
        return self._batches[self._next - 1]

    def hint(self, position: Position) -> Hint:
        return self._reader.hint(position)


class FaultyReader(_Wrapper):
    def __init__(self, wrapped: Reader, fault: str, request: ReadRequest, budget: CallBudget) -> None:
        super().__init__(wrapped, fault)
        self._request, self._budget = request, budget

    async def read(self, want: int, max_calls: int) -> Batch:
        try:
            batch: Batch = await self._wrapped.read(want, max_calls)
        except SourceError:
            if self._fault != "failed status is an empty page":
                raise
            return Batch([], self._request.until, ended=True)
        records: list[Record] = [FaultyRecord(record, self._fault) for record in batch.records]
        match self._fault:
            case "reader returns nothing":
                return Batch([], batch.complete_until, ended=True)
            case "unreadable records not counted":
                return msgspec.structs.replace(batch, records=records, bad_records=Counter())
            case "no as_of":
                self._budget.as_of = None
            case "wrong order":
                records.reverse()
            case "record returned twice":
                records = records[:1] + records
            case "second type ignored":
                kept = self._request.query.model_copy(update={"type": self._request.query.type[:1]})
                records = [record for record in records if matches_type(kept, record.type, record.provider_type)]
            case "ties split at page edges" if len(self._request.position) > 1:
                # The page begins with a new microsecond.
                records = [record for record in records if record.key[0] != self._request.position[0]]
        return msgspec.structs.replace(batch, records=records)


class FaultyRecord(_Wrapper):
    @property
    def key(self) -> Key:
        key: Key = self._wrapped.key
        return (key[0] + 2 * HOUR, *key[1:]) if self._fault == "time zone ignored" else key

    def event(self) -> Event:
        event: Event = self._wrapped.event()
        return msgspec.structs.replace(event, data={}) if self._fault == "data dropped" else event

    def raw(self) -> Any:
        raw = self._wrapped.raw()
        return _without_first_member(raw) if self._fault == "raw loses fields" else raw

    def texts(self) -> Iterable[tuple[str, str]]:
        texts = list(self._wrapped.texts())
        return [*texts, ("url", "https://sign.example/secret/1")] if self._fault == "signing links in q" else texts

    def person_values(self) -> Iterable[str]:
        return [] if self._fault == "persons missing from person_values" else self._wrapped.person_values()

    def private_values(self) -> Iterable[str]:
        return [] if self._fault == "phones not private" else self._wrapped.private_values()


def _without_first_member(value: Any) -> Any:
    """Return a copy in which each object lacks its first string, number, boolean or null."""
    if isinstance(value, list):
        return [_without_first_member(item) for item in value]
    if not isinstance(value, dict):
        return value
    lost = next((name for name, item in value.items() if not isinstance(item, dict | list)), None)
    return {name: _without_first_member(item) for name, item in value.items() if name != lost}
