"""`Merge` over arbitrary batches: no earlier event follows a returned one, and positions resume without loss or
repetition."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import assume, given
from hypothesis import strategies as st

from app.domain.event import Record
from app.domain.position import Key, Position, first_time, is_beyond
from app.paging.merge import Merge, Stream

SEEDS = st.integers(0, 1 << 16)
NAMES = ("a", "b", "c")


@dataclass(frozen=True)
class Rec:
    key: Key


@dataclass
class Source:
    """The keys of one stream, ascending."""

    name: str
    keys: list[Key]
    times: list[int] = field(default_factory=list)


class Reader:
    """Reads the keys beyond `position` in batches of any size, which never split a time: the least that `Batch`
    guarantees."""

    def __init__(
        self, source: Source, position: Position, ascending: bool, low: int, high: int, rng: random.Random
    ) -> None:
        keys = [key for key in source.keys if low <= key[0] < high and is_beyond(key, position, ascending)]
        self._keys = keys if ascending else keys[::-1]
        self._ascending, self._rng = ascending, rng
        self._low, self._high = low, high
        start = first_time(position, ascending)
        self._edge = start if ascending else start + 1

    def read(self) -> tuple[list[Rec], int, bool]:
        """Return records, `complete_until` and `ended`. A batch may be empty, and the end may be known late."""
        step = self._rng.choice((1, 1, 2, 5, 40))
        if self._ascending:
            edge = min(self._high, self._edge + step)
            ready = [key for key in self._keys if key[0] < edge]
            over = edge >= self._high
        else:
            edge = max(self._low, self._edge - step)
            ready = [key for key in self._keys if key[0] >= edge]
            over = edge <= self._low
        self._edge = edge
        self._keys = self._keys[len(ready) :]
        ended = over or (not self._keys and self._rng.random() < 0.3)
        return [Rec(key) for key in ready], edge, ended


@st.composite
def sources(draw: st.DrawFn) -> list[Source]:
    found = []
    for name in NAMES[: draw(st.sampled_from([1, 2, 3, 3, 3]))]:
        times = sorted(draw(st.lists(st.integers(0, 25), max_size=25)))
        keys: list[Key] = []
        for place, time in enumerate(times):
            keys.append((time, name, "envelope", draw(st.sampled_from(["", "e1", "e2"])), place, 0))
        found.append(Source(name, sorted(keys)))
    return found


@dataclass
class State:
    positions: dict[str, Position]
    done: set[str]


@dataclass
class World:
    sources: list[Source]
    ascending: bool
    rng: random.Random
    low: int = 0
    high: int = 27
    stops: float = 0.0
    fails: float = 0.0

    def start(self) -> State:
        begin: Position = (self.low,) if self.ascending else (self.high,)
        return State({source.name: begin for source in self.sources}, set())

    def page(
        self, state: State, limit: int, ceiling: int | None = None, fall: int = 0, *, may_exceed: bool = True
    ) -> tuple[list[Key], State | None, set[str]]:
        """Return a page, the state for the next one (None after the last), and the failed sources. In each round the
        ceiling falls by a random part of `fall` towards `ceiling`."""
        readers: dict[int, tuple[Stream, Reader]] = {}
        reads: dict[int, int] = {}
        high = self.high
        for source in self.sources:
            if source.name not in state.done:
                position = state.positions[source.name]
                stream = Stream(source.name, "s", position)
                readers[id(stream)] = (stream, Reader(source, position, self.ascending, self.low, high, self.rng))
        merge = Merge([stream for stream, _ in readers.values()], ascending=self.ascending, limit=limit)
        rounds = 0
        while waiting := merge.advance():
            rounds += 1
            assert rounds < 500
            for stream in waiting:
                self._read(merge, stream, readers[id(stream)][1], reads)
            if ceiling is not None:
                fall = self.rng.randint(0, fall)
                merge.set_ceiling(ceiling + fall)
        if may_exceed and self.rng.random() < 0.5:
            merge.extend()
        failed = {stream.source for stream in merge.streams if stream.failed}
        keys = [record.key for record in merge.records]
        assert len(keys) <= (2 * limit if len(merge.streams) == 1 else limit)
        assert ceiling is None or all(key[0] < ceiling + fall for key in keys)
        self._check_order(keys, merge, state)
        boundary = merge.boundary() or min(state.positions.values())
        following = State(dict(state.positions), set(state.done))
        for stream in merge.streams:
            if merge.finished(stream):
                following.done.add(stream.source)
            else:
                following.positions[stream.source] = merge.resume(stream, boundary)
                # A position never moves back.
                assert not is_beyond(stream.position, following.positions[stream.source], self.ascending)
        more = merge.has_more or ceiling is not None
        if not more:
            assert following.done == {source.name for source in self.sources}
        return keys, following if more else None, failed

    def _read(self, merge: Merge, stream: Stream, reader: Reader, reads: dict[int, int]) -> None:
        count = reads[id(stream)] = reads.get(id(stream), 0) + 1
        if count > 1 and self.rng.random() < self.stops and is_beyond(stream.frontier, stream.position, self.ascending):
            stream.stopped = True
        elif self.rng.random() < self.fails:
            stream.failed = True
        else:
            records, complete_until, ended = reader.read()
            merge.add(stream, cast(list[Record], records), complete_until=complete_until, ended=ended)

    def _check_order(self, keys: list[Key], merge: Merge, state: State) -> None:
        """Check that no key of a stream that did not fail is missing before the page's last one."""
        assert keys == sorted(keys, reverse=not self.ascending)
        if not keys:
            return
        shown = set(keys)
        failed = {stream.source for stream in merge.streams if stream.failed}
        for source in self.sources:
            if source.name in failed or source.name in state.done:
                continue
            for key in source.keys:
                ahead = is_beyond(key, state.positions[source.name], self.ascending)
                if ahead and key not in shown and self.low <= key[0] < self.high:
                    assert is_beyond(key, keys[-1], self.ascending), "an earlier event was left out"

    def truth(self) -> list[Key]:
        keys = [key for source in self.sources for key in source.keys if self.low <= key[0] < self.high]
        return sorted(keys, reverse=not self.ascending)


WORLDS = st.builds(
    lambda found, ascending, seed: World(found, ascending, random.Random(seed)), sources(), st.booleans(), SEEDS
)


def walk(world: World, limits: tuple[int, ...] = (1, 2, 3, 7, 50), **given: Any) -> list[Key]:
    state: State | None = world.start()
    got: list[Key] = []
    for _ in range(3000):
        assert state is not None
        keys, state, _ = world.page(state, world.rng.choice(limits), **given)
        got += keys
        if state is None:
            return got
    raise AssertionError("the walk does not end")


@given(WORLDS)
def test_pages_add_up_to_the_truth(world: World) -> None:
    assert walk(world) == world.truth()


@given(WORLDS, st.sampled_from([0.2, 0.6, 1.0]))
def test_streams_that_stop_lose_and_repeat_nothing(world: World, stops: float) -> None:
    world.stops = stops
    assert walk(world) == world.truth()


@given(SEEDS, st.booleans(), st.sampled_from([0.05, 0.15, 0.3]))
def test_three_long_streams_that_stop_lose_and_repeat_nothing(seed: int, ascending: bool, stops: float) -> None:
    """Hypothesis rarely generates three long streams."""
    rng = random.Random(seed)
    for _ in range(5):
        found = []
        for name in NAMES:
            times = sorted(rng.randrange(26) for _ in range(rng.choice((3, 8, 25))))
            found.append(Source(name, [(time, name, "envelope", "", place, 0) for place, time in enumerate(times)]))
        world = World(found, ascending, rng, stops=stops)
        assert walk(world, (3, 7, 50)) == world.truth()


@given(WORLDS, st.sampled_from([0.1, 0.3, 0.5]), st.sampled_from([0.0, 0.4]))
def test_streams_that_fail_and_recover_lose_and_repeat_nothing(world: World, fails: float, stops: float) -> None:
    """Order then holds within a page (`_check_order`) and within each stream."""
    world.fails, world.stops = fails, stops
    for _ in range(4):
        got = walk(world)
        assert sorted(got) == sorted(world.truth())
        for source in world.sources:
            own = [key for key in got if key[1] == source.name]
            assert own == sorted(own, reverse=not world.ascending)


@given(
    sources(),
    SEEDS,
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0, 0, 3, 20]),
)
def test_a_ceiling_holds_back_what_is_not_settled(
    found: list[Source], seed: int, steps: list[int], stops: float, fall: int
) -> None:
    """The follower's watermark rises between pages, and falls during one if the providers' clocks differ. All events
    below it are returned once, in order."""
    world = World(found, True, random.Random(seed), stops=stops)
    state: State | None = world.start()
    got: list[Key] = []
    ceiling = -2
    for step in [*steps, 0, 0, 40]:
        ceiling += step
        for _ in range(200):
            assert state is not None, "the follower has ended"
            keys, state, _ = world.page(state, world.rng.choice((1, 3, 50)), ceiling=ceiling, fall=fall)
            got += keys
            if not keys and not stops:
                break
    assert got == [key for key in world.truth() if key[0] < ceiling]


@given(WORLDS, st.integers(1, 30))
def test_one_page_contains_the_first_events(world: World, limit: int) -> None:
    keys, state, _ = world.page(world.start(), limit, may_exceed=False)
    truth = world.truth()
    assert keys == truth[:limit]
    assert (state is not None) == (len(truth) > limit)


@given(WORLDS)
def test_if_all_streams_fail_the_page_is_empty_and_positions_stay(world: World) -> None:
    assume(world.truth())
    world.fails = 1.0
    begin = world.start()
    keys, state, failed = world.page(begin, 10)
    assert keys == []
    assert failed == {source.name for source in world.sources}
    assert state.positions == begin.positions
