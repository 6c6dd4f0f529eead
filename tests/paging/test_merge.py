"""The merge of streams, case by case; `tests/properties/test_merge.py` has the arbitrary ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from app.domain.position import Key, earlier_position, first_time, is_beyond, later_position
from app.paging.merge import Merge, Stream


@dataclass
class Rec:
    key: Key


def key(time: int, source: str = "a", sequence: int = 0) -> Key:
    return (time, source, "envelope", "", sequence, 0)


def merge_of(*names: str, limit: int = 10, ascending: bool = True) -> tuple[Merge, list[Stream]]:
    streams = [Stream(name, "s", (0,) if ascending else (100,)) for name in names]
    return Merge(streams, ascending=ascending, limit=limit), streams


def add(merge: Merge, stream: Stream, *times: int, complete_until: int, ended: bool = False) -> None:
    records: list[Any] = [Rec(key(time, stream.source)) for time in times]
    merge.add(stream, records, complete_until=complete_until, ended=ended)


def times(merge: Merge) -> list[int]:
    return [record.key[0] for record in merge.records]


def test_nothing_is_shown_before_every_stream_was_heard() -> None:
    merge, (a, b) = merge_of("a", "b")
    assert merge.advance() == [a, b]
    add(merge, a, 5, complete_until=50, ended=True)
    assert merge.advance() == [b]
    assert merge.records == []
    add(merge, b, 3, complete_until=4)
    assert merge.advance() == [b]
    assert times(merge) == [3]
    add(merge, b, complete_until=6)
    assert merge.advance() == [b]
    assert times(merge) == [3, 5]


def test_a_tie_at_the_edge_of_what_is_known_waits() -> None:
    merge, (a, b) = merge_of("a", "b")
    add(merge, a, 5, complete_until=9)
    add(merge, b, complete_until=5)
    # `complete_until` 5: everything before 5 came; what is of time 5 itself may still come, but not before a's.
    assert merge.advance() == [b]
    assert times(merge) == []


def test_where_a_stream_stops_the_others_are_read_as_far() -> None:
    """Found by the campaign: the page ended at the stopped stream's frontier while another was known less far."""
    merge, (a, b, c) = merge_of("a", "b", "c")
    add(merge, a, 0, complete_until=3)
    add(merge, b, 5, complete_until=27, ended=True)
    add(merge, c, complete_until=5)
    c.stopped = True
    assert merge.advance() == [a]
    add(merge, a, 3, complete_until=27)
    assert merge.advance() == []
    assert merge.has_more
    assert times(merge) == [0, 3]
    boundary = merge.boundary()
    assert boundary == (5,)
    assert merge.resume(a, boundary) == (27,)
    assert merge.resume(b, boundary) == (5,)


@pytest.mark.parametrize("ascending", [True, False])
def test_the_page_after_a_full_one_begins_at_its_last_key(ascending: bool) -> None:
    merge, (a, b) = merge_of("a", "b", limit=2, ascending=ascending)
    order = (1, 2, 3) if ascending else (3, 2, 1)
    add(merge, a, *order, complete_until=90 if ascending else 0, ended=True)
    add(merge, b, order[1], complete_until=90 if ascending else 0, ended=True)
    assert merge.advance() == []
    assert merge.has_more
    boundary = merge.boundary()
    assert boundary == merge.records[-1].key
    # The tie stays ahead for whichever stream still holds one.
    rest = [key(order[1], "b")] if ascending else [key(order[1], "a")]
    assert all(is_beyond(one, boundary, ascending) for one in rest)


def test_a_full_page_knows_whether_there_is_more() -> None:
    merge, (a,) = merge_of("a", limit=2)
    assert merge.missing == 3
    add(merge, a, 1, 2, complete_until=2)
    assert merge.advance() == [a]
    add(merge, a, complete_until=90, ended=True)
    assert merge.advance() == []
    assert not merge.has_more
    assert merge.finished(a)


def test_a_ceiling_holds_back_and_brings_back() -> None:
    merge, (a,) = merge_of("a")
    add(merge, a, 1, 5, 9, complete_until=10)
    merge.set_ceiling(5)
    assert merge.advance() == []
    assert times(merge) == [1]
    boundary = merge.boundary()
    assert boundary == (5,)
    assert merge.resume(a, boundary) == (5,)
    assert not merge.finished(a)


def test_a_failed_stream_keeps_its_own_place() -> None:
    merge, (a, b) = merge_of("a", "b")
    add(merge, a, 1, 7, complete_until=8)
    add(merge, b, 2, complete_until=3)
    assert merge.advance() == [b]
    b.failed = True
    while waiting := merge.advance():
        assert waiting == [a]
        add(merge, a, complete_until=100, ended=True)
    assert times(merge) == [1, 2, 7]
    assert merge.has_more
    boundary = merge.boundary()
    assert boundary is not None
    assert merge.resume(b, boundary) == (3,), "up to its own `complete_until`, everything came"
    assert merge.finished(a)


def test_positions() -> None:
    whole, bare = key(5), (5,)
    assert is_beyond(whole, bare, True)
    assert not is_beyond(whole, bare, False)
    assert later_position(bare, whole, True) == whole
    assert later_position(bare, whole, False) == bare
    assert earlier_position(bare, whole, True) == bare
    assert [first_time(bare, True), first_time(whole, True)] == [5, 5]
    assert [first_time(bare, False), first_time(whole, False)] == [4, 5]
