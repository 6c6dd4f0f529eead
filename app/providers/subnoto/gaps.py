"""The rules of when a page may lack records, as the reasons that it gives.

Responses of one walk are compared wherever they overlap. If they contradict each other, the walk reads again; what that
does not resolve is one of these reasons, and makes a count an estimate."""

from __future__ import annotations

from app.domain.times import SECOND

# The provider refuses a proof: the page after the claimed end, and a page read again.
BEHIND = "the provider does not show whether its log ends where it claims: newer records may be missing"
AGAIN = "the provider does not show whether records were removed meanwhile: others may be missing"
# Totals and lists.
LACKING = "the provider counts records that its lists do not contain"
TWINS = "the provider's totals are too low and its last records equal: their number is uncertain"
# Two responses have the same rows in different order, or at higher numbers.
SHUFFLED = "the provider's order of equal times changes with each call: records may be missing or come twice"
UNORDERED = "the provider's log is not in order of time: records may be missing"
# The rows tied with the cursor's are not those of its page.
LOST_TIES = (
    "records of the time where this page begins were removed or reordered: others of that time may be missing, or be"
    " there twice"
)
# A server that does not sort by time, or failed to.
UNSORTED = (
    "the provider does not show its records in order of time: records of this time may be missing because their place"
    " in its log is of another time"
)
# The order of time shows more records than the order of insertion.
MISPLACED = (
    "records of this time are missing because their place in the provider's log is of another time: "
    "set SUBNOTO_MAX_TIME_SKEW to the largest error of its times, in seconds"
)


def skew_reason(seen: int, setting: int) -> str | None:
    """Return the reason why a walk needed a larger skew (µs) than the setting; None if it did not."""
    if seen <= setting:
        return None
    seconds = -(-seen // SECOND)
    return (
        f"times run back against insertion by up to {seconds} s, more than was allowed for: "
        f"set SUBNOTO_MAX_TIME_SKEW={2 * seconds}"
    )
