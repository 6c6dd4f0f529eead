"""Random lives of the whole service: real HTTP, both emulators, two replicas, and everything that can happen between
two pages. `FUZZ_EXAMPLES` raises the number of lives; Hypothesis prints the shortest one that breaks."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.errors import SourcesFailed
from app.domain.times import DAY, format_micros
from app.feed.model import Page
from app.feed.service import Feed
from sandbox.subnoto import Record
from tests.worlds import ANYONE, SubnotoOptions, TaktikalOptions, World, ask, describe, micros, served_world, walk

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


class Service(RuleBasedStateMachine):
    """One walk, begun at a moment, and a world that does not wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.loop = asyncio.new_event_loop()
        self.rows: list[tuple[Any, ...]] = []
        self.ids: list[str] = []
        self.cursor: str | None = None
        self.ended = False
        self.failed_once = False
        self.number = 0

    @initialize(taktikal=TAKTIKAL, subnoto=SUBNOTO, limit=LIMITS, order=st.sampled_from(["asc", "desc"]))
    def begin(self, taktikal: TaktikalOptions, subnoto: SubnotoOptions, limit: int, order: str) -> None:
        self.world: World = self.stack.enter_context(served_world(taktikal, subnoto))
        self.replicas = [self.world.gateway(), self.world.gateway()]
        now = micros(self.world.clock())
        self.ascending = order == "asc"
        self.bounds = (now - 20 * DAY, now)
        self.window = {"since": format_micros(self.bounds[0]), "until": format_micros(now)}
        self.before = self.inside()
        self.take(limit, 0, order=order, **self.window)

    def inside(self) -> list[tuple[Any, ...]]:
        since, until = self.bounds
        rows = [row for row in self.world.truth() if since <= row[0] < until]
        return rows if self.ascending else rows[::-1]

    def run(self, what: Any) -> Any:
        return self.loop.run_until_complete(what)

    def take(self, limit: int, replica: int, **asked: Any) -> None:
        page: Page = self.run(ask(self.replicas[replica], **asked, limit=limit))
        self.keep(page)

    def keep(self, page: Page) -> None:
        self.rows += [describe(record) for record in page.records]
        self.ids += [record.event().id for record in page.records]
        self.cursor = page.next_cursor
        self.ended = page.next_cursor is None
        assert page.records or not page.has_more

    # ---- pages ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.cursor)
    @rule(limit=LIMITS, replica=st.integers(0, 1))
    def next_page(self, limit: int, replica: int) -> None:
        self.take(limit, replica, cursor=self.cursor)

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
    def a_provider_fails_and_the_call_with_it(self, which: str, status: int, limit: int) -> None:
        emulator = getattr(self.world, which)
        emulator.faults.answer(status, {}, times=1000)
        failed: set[str | None] = set()
        try:
            # Without an error, nothing was left of it, so nobody asked it.
            self.keep(self.run(ask(self.replicas[0], cursor=self.cursor, limit=limit)))
        except SourcesFailed as error:
            failed = {failure.source for failure in error.errors}
        emulator.faults.clear()
        assert failed <= {which}

    @precondition(lambda self: self.cursor)
    @rule(which=st.sampled_from(["taktikal", "subnoto"]), limit=LIMITS)
    def a_provider_fails_and_the_others_go_on(self, which: str, limit: int) -> None:
        emulator = getattr(self.world, which)
        emulator.faults.answer(401, {}, times=1000)
        self.failed_once = True
        try:
            page = self.run(ask(self.replicas[1], cursor=self.cursor, limit=limit, partial=True))
        except SourcesFailed:
            pass  # nobody had anything to give: the cursor stays good
        else:
            self.rows += [describe(record) for record in page.records]
            self.ids += [record.event().id for record in page.records]
            self.cursor, self.ended = page.next_cursor, page.next_cursor is None
        emulator.faults.clear()

    # ---- what happens meanwhile ----------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from([0.01, 7, 600]))
    def time_passes(self, minutes: float) -> None:
        self.world.clock.advance(minutes=minutes)

    @rule(seconds=st.integers(0, 119), twins=st.integers(1, 3))
    def records_come_late(self, seconds: int, twins: int) -> None:
        """Older than the newest by less than the skew that is allowed for."""
        self.number += 1
        moment = self.world.clock() - timedelta(seconds=seconds)
        for _ in range(twins):
            self.world.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment, event_data={"n": self.number})
            self.world.taktikal.history.append(f"late-{self.number}", "Created", at=moment)

    @rule(count=st.sampled_from([3, BURST]))
    def a_burst_in_one_millisecond(self, count: int) -> None:
        moment = int(self.world.clock().timestamp() * 1000)
        author = {"id": 1, "uuid": "00000000-0000-4000-8000-000000000001", "email": "b@example.com", "name": "B"}
        envelope = "33333333-3333-4333-8333-333333333333"
        workspace = "22222222-2222-4222-8222-222222222222"
        record = Record("envelope", "ENVELOPE_OPENED", moment, {"burst": True}, author, envelope, workspace)
        self.world.subnoto.history.insert([record] * count)

    # ---- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def no_id_comes_twice(self) -> None:
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
        while self.cursor and not self.ended:
            self.take(1000, 0, cursor=self.cursor)
            self.no_id_comes_twice()
        now = self.inside()
        remaining = list(now)
        position = 0
        if self.failed_once:
            # Order holds within each source, not across the pages of a walk with failures.
            assert not _missing(self.before, self.rows)
        else:
            for row in self.rows:
                position = remaining.index(row, position) + 1  # in the order of the truth
            assert not _missing(self.before, self.rows)
        assert not _missing(self.rows, now)
        self.check_other_queries()

    def check_other_queries(self) -> None:
        feed: Feed = self.world.gateway()
        for record_id in self.ids[:: max(1, len(self.ids) // 5)]:
            assert self.run(feed.event(record_id, ANYONE)).event().id == record_id
        order = "desc" if self.ascending else "asc"
        everything = self.run(walk(feed, order=order, limits=1000, **self.window))
        known = {record.event().id: record.type for record in everything.records}
        assert set(self.ids) <= set(known)
        some = self.run(walk(feed, type="envelope.*", limits=400, **self.window))
        assert sorted(some.ids) == sorted(i for i, type_ in known.items() if type_.startswith("envelope."))


def _missing(wanted: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], int]:
    """Rows of `wanted`, with how often each, that `found` does not have as often."""
    counts: dict[tuple[Any, ...], int] = {}
    for row in wanted:
        counts[row] = counts.get(row, 0) + 1
    for row in found:
        if row in counts:
            counts[row] -= 1
    return {row: count for row, count in counts.items() if count > 0}


TestService = Service.TestCase
TestService.settings = settings(
    max_examples=EXAMPLES or 12,
    stateful_step_count=40 if EXAMPLES else 12,
    deadline=None,
    derandomize=not EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    print_blob=True,
)
