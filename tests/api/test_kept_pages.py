"""Kept pages: for whom, how long, and how much."""

from __future__ import annotations

import math
import time

from app.api.page_cache import KeptPages, ShownPage
from app.domain.caller import Caller

ANNA = Caller("anna", frozenset({"events:read"}))
ASKED = [("limit", "10"), ("since", "2026-05-01")]


def page(seconds: float = 60.0, body: bytes = b"{}") -> ShownPage:
    return ShownPage(body, None, ["taktikal"], {"taktikal": 3}, time.monotonic() + seconds)


def test_whoever_has_the_same_rights_is_shown_it() -> None:
    pages, shown = KeptPages(), page()
    pages.put(ANNA, ASKED, shown)
    assert pages.get(ANNA, ASKED) is shown
    assert pages.get(Caller("bjorn", ANNA.scopes, rate="6/minute"), list(ASKED)) is shown
    for other in (
        Caller("anna", frozenset({"events:read", "pii:read"})),
        Caller("anna", ANNA.scopes, frozenset({"taktikal"})),
    ):
        assert pages.get(other, ASKED) is None
    assert pages.get(ANNA, [*ASKED, ("q", "x")]) is None


def test_not_longer_than_it_is_good() -> None:
    pages = KeptPages()
    for seconds in (0.0, -math.inf):
        pages.put(ANNA, ASKED, page(seconds))
        assert pages.get(ANNA, ASKED) is None


def test_what_is_kept_is_bounded() -> None:
    pages = KeptPages()
    long = [("q", "x" * 4096)]
    pages.put(ANNA, long, page())
    assert pages.get(ANNA, long) is None, "a query may be as long as the page"
    pages.put(ANNA, ASKED, page(body=bytes(40 * 1024 * 1024)))
    assert pages.get(ANNA, ASKED) is None
    for number in range(10):
        pages.put(ANNA, [("limit", str(number))], page(body=bytes(5 * 1024 * 1024)))
    assert pages.get(ANNA, [("limit", "9")]) is not None
    assert sum(pages.get(ANNA, [("limit", str(number))]) is not None for number in range(10)) <= 6
