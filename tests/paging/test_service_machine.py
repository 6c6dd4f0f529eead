"""Random histories of the whole service: real HTTP, both emulators, two replicas, and every change that is possible
between two pages. `FUZZ_EXAMPLES` sets the number of histories; Hypothesis prints the shortest that fails."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import timedelta
from itertools import groupby
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.errors import SourcesFailed
from app.domain.times import DAY, format_micros
from app.feed.model import Page
from app.feed.service import Feed
from sandbox.subnoto import Record
from tests.worlds import ANYONE, SubnotoOptions, TaktikalOptions, World, ask, describe, served_world, walk

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
BURST = 10_000 if EXAMPLES else 300

TAKTIKAL = st.builds(
    TaktikalOptions,
    seed=st.integers(1, 5),
    events=st.sampled_from([0, 30, 400]),
    twins=st.sampled_from([0.0, 0.2]),
    range_selects=st.sampled_from(["activity", "creation"]),
    logs=st.sampled_from(["whole", "trimmed"]),
    order=st.sampled_from(["newest", "oldest", "shuffled_stable", "shuffled"]),
    end_inclusive=st.booleans(),
    entry_ids=st.sampled_from(["per_process", "company", "none"]),
)
SUBNOTO = st.builds(
    SubnotoOptions,
    seed=st.integers(1, 5),
    events=st.sampled_from([0, 30, 400]),
    twins=st.sampled_from([0.0, 0.2]),
    skew_seconds=st.sampled_from([0.0, 119.0]),
    unit=st.sampled_from(["milliseconds", "seconds", "float_seconds"]),
    totals=st.sampled_from(["pagination", "totalCount"]),
    author=st.sampled_from(["uuid", "id"]),
)
LIMITS = st.sampled_from([1, 2, 9, 50, 100, 400, 1000])


def ordered(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the rows, with Taktikal's of one envelope and microsecond in the order of their texts if they have no ids:
    those have no place in a log, because a response may return them in any order."""
    found: list[tuple[Any, ...]] = []
    for (_, source, *_), tied in groupby(rows, key=lambda row: row[:4]):
        group = list(tied)
        has_ids = source != "taktikal" or any(row[5] is not None for row in group)
        found += group if has_ids else sorted(group, key=repr)
    return found


class Service(RuleBasedStateMachine):
    """One walk over a world that changes meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.loop = asyncio.new_event_loop()
        self.rows: list[tuple[Any, ...]] = []
        self.ids: list[str] = []
        self.cursor: str | None = None

        self.failed_once = False
        self.number = self.in_bursts = 0

    @initialize(taktikal=TAKTIKAL, subnoto=SUBNOTO, limit=LIMITS, order=st.sampled_from(["asc", "desc"]))
    def begin(self, taktikal: TaktikalOptions, subnoto: SubnotoOptions, limit: int, order: str) -> None:
        self.world: World = self.stack.enter_context(served_world(taktikal, subnoto))
        self.replicas = [self.world.gateway(), self.world.gateway()]
        now = self.world.now
        self.ascending = order == "asc"
        self.bounds = (now - 20 * DAY, now)
        self.window = {"since": format_micros(self.bounds[0]), "until": format_micros(now)}
        self.before = self.inside()
        self.read(limit, 0, order=order, **self.window)

    def inside(self) -> list[tuple[Any, ...]]:
        since, until = self.bounds
        rows = self.world.truth(since, until)
        return rows if self.ascending else rows[::-1]

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def read(self, limit: int, replica: int, **query: Any) -> None:
        page = self.add(self.run(ask(self.replicas[replica], **query, limit=limit)))
        assert page.records or not page.has_more

    def add(self, page: Page) -> Page:
        self.rows += [describe(record) for record in page.records]
        self.ids += [record.event().id for record in page.records]
        self.cursor = page.next_cursor
        return page

    # ---- pages ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.cursor)
    @rule(limit=LIMITS, replica=st.integers(0, 1))
    def next_page(self, limit: int, replica: int) -> None:
        self.read(limit, replica, cursor=self.cursor)

    @precondition(lambda self: self.cursor)
    @rule(limit=LIMITS)
    def the_same_cursor_on_both_replicas(self, limit: int) -> None:
        pages = [self.run(ask(feed, cursor=self.cursor, limit=limit)) for feed in self.replicas]
        assert [r.event().id for r in pages[0].records] == [r.event().id for r in pages[1].records]

    @rule(replica=st.integers(0, 1))
    def restart(self, replica: int) -> None:
        self.replicas[replica] = self.world.gateway()

    @precondition(lambda self: self.cursor)
    @rule(which=st.sampled_from(["taktikal", "subnoto"]), status=st.sampled_from([401, 400]), limit=LIMITS)
    def a_provider_fails_and_so_does_the_call(self, which: str, status: int, limit: int) -> None:
        emulator = getattr(self.world, which)
        emulator.faults.answer(status, {}, times=1000)
        failed: set[str | None] = set()
        try:
            # Without an error, the source has no further events.
            self.read(limit, 0, cursor=self.cursor)
        except SourcesFailed as error:
            failed = {failure.source for failure in error.errors}
        emulator.faults.clear()
        assert failed <= {which}

    @precondition(lambda self: self.cursor)
    @rule(which=st.sampled_from(["taktikal", "subnoto"]), limit=LIMITS)
    def a_provider_fails_and_the_other_answers(self, which: str, limit: int) -> None:
        emulator = getattr(self.world, which)
        emulator.faults.answer(401, {}, times=1000)
        self.failed_once = True
        # If no other source has further events, the call fails, and the cursor stays valid.
        with suppress(SourcesFailed):
            self.add(self.run(ask(self.replicas[1], cursor=self.cursor, limit=limit, partial=True)))
        emulator.faults.clear()

    # ---- changes meanwhile ---------------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from([0.01, 7, 600]))
    def time_passes(self, minutes: float) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule(seconds=st.integers(0, 119), twins=st.integers(1, 3))
    def records_arrive_late(self, seconds: int, twins: int) -> None:
        """They are older than the newest by less than the allowed skew."""
        self.number += 1
        moment = self.world.clock() - timedelta(seconds=seconds)
        for _ in range(twins):
            self.world.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment, event_data={"n": self.number})
            self.world.taktikal.history.append(f"late-{self.number}", "Created", at=moment)

    @precondition(lambda self: self.in_bursts < 2 * BURST)  # a page reads them all, within its deadline
    @rule(count=st.sampled_from([3, BURST]))
    def a_burst_in_one_millisecond(self, count: int) -> None:
        self.in_bursts += count
        moment = int(self.world.clock().timestamp() * 1000)
        author = {"id": 1, "uuid": "00000000-0000-4000-8000-000000000001", "email": "b@example.com", "name": "B"}
        envelope = "33333333-3333-4333-8333-333333333333"
        workspace = "22222222-2222-4222-8222-222222222222"
        record = Record("envelope", "ENVELOPE_OPENED", moment, {"burst": True}, author, envelope, workspace)
        self.world.subnoto.history.insert([record] * count)

    # ---- invariants ----------------------------------------------------------------------------------------------

    @invariant()
    def no_id_is_returned_twice(self) -> None:
        assert len(set(self.ids)) == len(self.ids)

    @invariant()
    def no_call_breaks_the_vendors_rules(self) -> None:
        if hasattr(self, "world"):
            assert self.world.refused() == []

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.finish()
        finally:
            for feed in getattr(getattr(self, "world", None), "feeds", []):
                self.run(feed.aclose())
            self.loop.close()
            self.stack.close()

    def finish(self) -> None:
        while self.cursor:
            self.read(1000, 0, cursor=self.cursor)
            self.no_id_is_returned_twice()
        now, position = ordered(self.inside()), 0
        # After a failure, order holds within each source, not across the pages of a walk.
        for row in () if self.failed_once else ordered(self.rows):
            position = now.index(row, position) + 1
        assert Counter(self.before) <= Counter(self.rows) <= Counter(now)
        feed: Feed = self.world.gateway()
        for record_id in self.ids[:: max(1, len(self.ids) // 5)]:
            assert self.run(feed.event(record_id, ANYONE)).event().id == record_id
        order = "desc" if self.ascending else "asc"
        everything = self.run(walk(feed, order=order, limits=1000, **self.window))
        known = {record.event().id: record.type for record in everything.records}
        assert set(self.ids) <= set(known)
        some = self.run(walk(feed, type="envelope.*", limits=400, **self.window))
        assert sorted(some.ids) == sorted(i for i, type_ in known.items() if type_.startswith("envelope."))


TestService = Service.TestCase
TestService.settings = settings(
    max_examples=EXAMPLES or 12,
    stateful_step_count=40 if EXAMPLES else 12,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
