"""Both vendors' readers over arbitrary histories with ties and twins, against their emulators in memory: pages resumed
from the last key and a hint return each record once, in order, with the same id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.domain.position import Position, first_time
from app.domain.query import Query
from app.providers.base import CallBudget, Hint, Reader, ReadRequest, Record
from app.providers.subnoto.client import LogQuery, SubnotoClient
from app.providers.subnoto.log_calls import LogRequest
from app.providers.subnoto.observations import AccountObservations as SubnotoObservations
from app.providers.subnoto.reader import SubnotoReader
from app.providers.subnoto.time_index import TimeIndex
from app.providers.taktikal.client import TaktikalClient
from app.providers.taktikal.observations import AccountObservations as TaktikalFacts
from app.providers.taktikal.range_loader import RangeLoader
from app.providers.taktikal.reader import WindowReader
from app.providers.taktikal.record import records_of
from sandbox.subnoto import Emulator as SubnotoEmulator
from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.subnoto import Record as SubnotoRow
from sandbox.taktikal import Emulator as TaktikalEmulator
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from sandbox.taktikal import Entry, Process
from tests.providers import inside

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
BASE = (NOW - EPOCH) // timedelta(milliseconds=1) - 7 * 86_400_000  # in ms
SEEDS = st.integers(0, 1 << 16)
MakeReader = Callable[[ReadRequest, CallBudget], Reader]


async def pages(
    make: MakeReader, query: Query, since: int, until: int, rng: random.Random, between: Callable[[], None]
) -> list[Record]:
    """Return the records of a walk. Each page has a new reader, which reads batches until the page is full."""
    position: Position = (since,) if query.ascending else (until,)
    hint: Hint = None
    got: list[Record] = []
    for _ in range(500):
        limit = rng.choice((1, 2, 5, 30))
        reader = make(ReadRequest(query, since, until, position, hint), CallBudget())
        found: list[Record] = []
        ended = False
        complete_until = first_time(position, query.ascending)
        while not ended and len(found) <= limit:
            batch = await reader.read(limit + 1 - len(found), rng.choice((1, 2, 40)))
            keys = [record.key for record in batch.records]
            assert keys == sorted(keys, reverse=not query.ascending)
            # No record of a batch is before the `complete_until` of the previous one.
            for record in batch.records:
                assert since <= record.key[0] < until
                assert record.key > position if query.ascending else record.key < position
                ahead = record.key[0] >= complete_until if query.ascending else record.key[0] <= complete_until
                assert ahead, "a record is before the previous `complete_until`"
            if not batch.ended:
                complete_until = batch.complete_until if query.ascending else batch.complete_until - 1
            found += batch.records
            ended = batch.ended
        page, more = found[:limit], len(found) > limit
        got += page
        if not more:
            return got
        position = page[-1].key
        hint = reader.hint(position) if rng.random() < 0.8 else rng.choice((None, [0, 3, 1], [1, 10**9], [7]))
        between()
    raise AssertionError("the walk does not end")


def check(make: MakeReader, truth: list[Any], describe: Callable[[Record], Any], since: int, until: int, seed: int,
          between: Callable[[], None] = lambda: None) -> set[str]:  # fmt: skip
    """Walk in both orders and compare with `truth`, rows of `describe` in ascending order. Return the ids."""
    rng = random.Random(seed)

    async def run() -> set[str]:
        up = await pages(make, Query(order="asc"), since, until, rng, between)
        down = await pages(make, Query(order="desc"), since, until, rng, between)
        assert [describe(record) for record in up] == truth
        ids = [record.event().id for record in up]
        assert [record.event().id for record in down] == ids[::-1]
        assert len(set(ids)) == len(ids)
        return set(ids)

    return asyncio.run(run())


# ---- Subnoto ---------------------------------------------------------------------------------------------------------

ROW = st.tuples(
    st.sampled_from([0, 0, 0, 1, 1, 40, 5000]),  # ms since the row before
    st.sampled_from([0, 0, 0, 2, 900]),  # ms by which it is older than the newest
    st.integers(0, 2),  # envelope
    st.sampled_from(["ENVELOPE_OPENED", "ENVELOPE_OPENED", "DOCUMENT_SIGNED"]),
)
RUNS = st.lists(st.tuples(ROW, st.sampled_from([1, 1, 1, 2, 3, 60])), max_size=30)


@dataclass
class SubnotoLog:
    rows: list[SubnotoRow]
    skew: int  # ms

    def __repr__(self) -> str:
        """Twins once, with their number: Hypothesis refuses texts of more than 30,000 characters."""
        runs = [(len(list(twins)), row) for row, twins in groupby(self.rows)]
        short = [(n, row.timestamp - BASE, row.event_type, (row.envelope_uuid or "")[-1:]) for n, row in runs]
        return f"SubnotoLog({short}, {self.skew})"


@st.composite
def subnoto_logs(draw: st.DrawFn) -> SubnotoLog:
    skew = draw(st.sampled_from([0, 2, 1000]))
    peak, rows = BASE, []
    for (step, behind, envelope, kind), copies in draw(RUNS):
        peak += step
        row = SubnotoRow(
            "envelope",
            kind,
            peak - min(behind, skew),
            envelope_uuid=f"11111111-1111-4111-8111-00000000000{envelope}",
            workspace_uuid="22222222-2222-4222-8222-222222222222",
        )
        rows += [row] * copies  # twins, equal in every field
    return SubnotoLog(rows, skew)


@given(subnoto_logs(), SEEDS, st.booleans())
def test_subnotos_reader_returns_each_record_once_in_order(log: SubnotoLog, seed: int, grow: bool) -> None:
    emulator = SubnotoEmulator(SubnotoOptions(ties="shuffled", skew_seconds=0), clock=lambda: NOW, records=log.rows)
    client, facts, found = (
        SubnotoClient(inside.subnoto(emulator), lambda: clock), SubnotoObservations(lambda: 0), TimeIndex(),
    )  # fmt: skip
    clock = (NOW - EPOCH) // timedelta(microseconds=1)

    def make(span: ReadRequest, spent: CallBudget) -> Reader:
        skew = log.skew * 1000
        return SubnotoReader(LogRequest(client, LogQuery("envelope"), span, spent, "s", skew, clock, facts, found))

    rng = random.Random(seed)
    times = [row.timestamp * 1000 for row in log.rows] or [BASE * 1000]
    since, until = sorted((rng.choice(times), rng.choice([*times, clock])))
    until = min(until + rng.choice((0, 1, 1000)), clock)  # records are appended at `clock`
    since = min(since, until - 1)
    places = sorted(
        ((row.timestamp * 1000, row.envelope_uuid, number), row.event_type) for number, row in enumerate(log.rows)
    )
    truth = [(place[0], place[1], kind) for place, kind in places if since <= place[0] < until]

    def between() -> None:
        if grow:
            emulator.history.append("ENVELOPE_SENT", timestamp=NOW)

    check(make, truth, lambda r: (r.key[0], r.key[3], r.provider_type), since, until, seed, between)


# ---- Taktikal --------------------------------------------------------------------------------------------------------

ENTRY = st.tuples(
    st.integers(0, 4),  # process
    st.sampled_from([0, 0, 1, 10, 9_999_999, 10_000_000, 30_000_000, 10**10, 10**11]),  # ticks since the entry before
    st.sampled_from(["Reminder", "Reminder", "SigneeSigned"]),
    st.sampled_from([1, 1, 1, 2, 3]),  # twins
)
OPTIONS = st.fixed_dictionaries(
    {
        "logs": st.sampled_from(["whole", "trimmed"]),
        "range_selects": st.sampled_from(["activity", "creation", "last_update"]),
        "order": st.sampled_from(["newest", "shuffled"]),
        "end_inclusive": st.booleans(),
        "query_precision": st.sampled_from(["ticks", "ticks", "seconds", "seconds", "minutes", "days"]),
        "max_take": st.sampled_from([None, 1, 2, 3]),
        "take_beyond": st.sampled_from(["cut", "refused"]),
        "generation": st.sampled_from(["current", "older"]),
    }
)


#: One at a time: a server that shuffles, truncates responses and counts wrong at once cannot be read.
FAULTS = st.sampled_from(
    [
        *([{}] * 4),
        {"max_bytes": 1000, "max_take": None},
        {"max_bytes": 4000, "max_take": None},
        {"split_items": "by_process", "max_take": None},
        {"split_items": "by_item", "max_take": None},
        {"tied_entries": "shuffled"},
        *({"total_offset": off, "order": "newest", "max_take": None} for off in (-50, -1, 1, 50)),
        {"total_cap": 2, "order": "newest", "max_take": None},
        {"total_lag_seconds": 7.5 * 86_400, "order": "newest", "max_take": None},
    ]
)


@given(st.lists(ENTRY, max_size=25), OPTIONS, FAULTS, SEEDS)
def test_taktikals_reader_returns_each_record_once_in_order(
    entries: list[tuple[int, int, str, int]], options: dict[str, Any], faults: dict[str, Any], seed: int
) -> None:
    options = {"split_items": "no", **options, **faults}
    older = options["generation"] == "older"
    ticks, logs = BASE * 10_000, {number: [] for number in range(5)}  # type: dict[Any, list[Entry]]
    for process, step, status, copies in entries:
        # If a process is sent as two items, twins, one in each, cannot be distinguished from one entry in both.
        split = options["split_items"] != "no"
        ticks += max(step, 1) if split else step
        identity = len({id(entry) for entry in logs[process]}) + 1
        entry = Entry(f"sp{process}", status, ticks, id=None if older else identity)
        logs[process] += [entry] * (1 if split else copies)
    emulator = TaktikalEmulator(
        TaktikalOptions(**{**options, "entry_ids": "none" if older else "per_process"}),
        clock=lambda: NOW,
        processes=[(Process(f"sp{number}"), log) for number, log in logs.items() if log],
    )
    client, facts = (
        TaktikalClient(inside.taktikal(emulator)),
        TaktikalFacts(lambda: (NOW - EPOCH) // timedelta(microseconds=1)),
    )
    # As after calibration, or before.
    if options["query_precision"] in ("ticks", "seconds") and random.Random(seed).random() < 0.7:
        facts.set(options["range_selects"], options["logs"] == "whole")

    async def prepare() -> None:
        return None

    def make(span: ReadRequest, spent: CallBudget) -> Reader:
        loader = RangeLoader(client, {}, facts, spent)
        return WindowReader("s", span, loader, prepare=prepare, max_age=20 * 86_400 * 10**6)

    rng = random.Random(seed)
    times = [entry.ticks // 10 for log in logs.values() for entry in log] or [BASE * 1000]
    since, until = sorted((rng.choice(times), rng.choice(times)))
    until += rng.choice((0, 1, 10**6))
    since = min(since, until - 1)
    ticks_of = {
        (entry.ticks // 10, f"sp{number}", place): entry.ticks
        for number, log in logs.items()
        for place, entry in enumerate(log)
    }
    rows = [
        (entry.ticks // 10, key, entry.id or 0, place, entry.status)
        for key, log in ((f"sp{number}", log) for number, log in logs.items())
        for place, entry in enumerate(log)
    ]
    if older:
        # Entries of one microsecond that have no ids are ordered by their content.
        rows = [(time, key, ticks_of[time, key, place], 0, status) for time, key, _, place, status in rows]
    truth = [(row[0], row[1], row[4]) for row in sorted(rows) if since <= row[0] < until]
    ids = check(make, truth, lambda r: (r.key[0], r.key[3], r.provider_type), since, until, seed)

    async def by_process() -> set[str]:
        """Return the ids of the same events from whole logs, as `GET /events/{event_id}` reads them."""
        found: set[str] = set()
        for number in range(5):
            loader = RangeLoader(client, {}, facts, CallBudget())
            records = [
                record for process in await loader.named([f"sp{number}"]) for record in records_of("s", process)[0]
            ]
            found |= {record.event().id for record in records if since <= record.key[0] < until}
        return found

    assert asyncio.run(by_process()) == ids
