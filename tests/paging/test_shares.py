"""What streams gave of the pages that they shared."""

from __future__ import annotations

from app.feed.stream_ratios import StreamRatios

A, B, C = ("one", "envelope"), ("one", "team"), ("two", "envelope")


def test_nothing_is_known_of_streams_that_were_not_read_together() -> None:
    shares = StreamRatios()
    shares.learn({A: 3, B: 1})
    assert shares.of(frozenset({A, B})) == {A: 750, B: 250}
    assert shares.of(frozenset({A, B, C})) == shares.of(frozenset({A})) == {}


def test_what_is_known_is_bounded() -> None:
    shares = StreamRatios()
    many = {("one", f"envelope/{number}"): 1 for number in range(50)}
    shares.learn(many)
    assert shares.of(frozenset(many)) == {}
    for number in range(1000):
        shares.learn({("one", f"envelope/{number}"): 1})
    assert len(shares._given) == 256


def test_an_empty_page_teaches_nothing() -> None:
    shares = StreamRatios()
    shares.learn({A: 0, B: 0})
    assert shares.of(frozenset({A, B})) == {}
    shares.learn({A: 1, B: 1})
    shares.learn({A: 0, B: 0})
    assert shares.of(frozenset({A, B})) == {A: 500, B: 500}


def test_a_small_page_weighs_little_and_older_ones_fade() -> None:
    shares = StreamRatios()
    shares.learn({A: 900, B: 100})
    shares.learn({A: 0, B: 1})
    assert shares.of(frozenset({A, B})) == {A: 899, B: 100}
    for _ in range(12):
        shares.learn({A: 100, B: 900})
    assert shares.of(frozenset({A, B}))[B] > 870
