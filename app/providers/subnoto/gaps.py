"""Possible gaps of a page, and the setting to change."""

from __future__ import annotations

from app.domain.times import SECOND
from app.paging.position_reader import PositionReader
from app.providers.subnoto.wire import LogRow


def gap_reason(
    walk: PositionReader[LogRow], *, misses: int, lost_ties: bool, is_shuffled: bool, have_risen: bool
) -> str | None:
    """Return the reason why a walk may have missed records; None if it has not. `misses`: records that are elsewhere in
    the log. `lost_ties`: others of the time where it begins may be missing. See `LogWalk` for the others."""
    if walk.ending.lacks_rows:
        return "the provider counts records that its lists do not contain"
    if walk.ending.may_be_twins:
        return "the provider's totals are too low and its last records equal: their number is uncertain"
    if is_shuffled:
        return "the provider's order of equal times changes with each call: records may be missing or come twice"
    if lost_ties:
        return "records were removed at the time where this page begins: others of that time may be missing"
    if walk.is_unordered or have_risen:
        return "the provider's log is not in order of time: records may be missing"
    if misses:
        return (
            "records of this time are missing because their place in the provider's log is of another time: "
            "set SUBNOTO_MAX_TIME_SKEW to the largest error of its times, in seconds"
        )
    return None


def skew_reason(walk: PositionReader[LogRow], skew: int) -> str | None:
    """Return the reason why a walk, allowed a `skew` (µs), needed a larger one; None if it did not."""
    if walk.skew <= skew:
        return None
    seconds = -(-walk.skew // SECOND)
    return (
        f"times run back against insertion by up to {seconds} s, more than was allowed for: "
        f"set SUBNOTO_MAX_TIME_SKEW={2 * seconds}"
    )
