"""Ranks of records of one microsecond, category and envelope, after the provider has removed some of them.

A rank counts from the first remaining record. Without correction, a page that ended within such a tie would be followed
by one that repeats its records.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.position import Position
from app.paging.steadiness import digest_of
from app.providers.subnoto.record import SubnotoRecord

_MOST = 8  #: records with a remembered digest; several, because of twins


def ties_at(position: Position, records: Sequence[SubnotoRecord]) -> list[int]:
    """Return, for a cursor, the rank after the last record tied with the one at a position, and a digest of the first
    tied ones from it on."""
    if len(position) == 1 or not (tied := _tied_with(position, records)):
        return [0, 0]
    return [tied[-1].key[4] + 1, _digest([record for record in tied if record.key[4] >= position[4]][:_MOST])]


def restore_ranks(
    records: Sequence[SubnotoRecord], position: Position, remembered: Sequence[int], *, begins: bool
) -> bool:
    """Restore the ranks that the records tied with the one at a position had when its page was read. `remembered` is
    the result of `ties_at`; `begins`: whether the first row of the log was read.

    The present place of the remembered records shows how many were removed. Their number does not, because new ones
    may have been added. Returns whether that is unknown, because some of the remembered ones were removed, or because
    they have another place and none is missing: then the provider may have changed the order of equal times."""
    if len(position) == 1 or not remembered or not remembered[0]:
        return False
    tied, (end, digest), rank = _tied_with(position, records), remembered, position[4]
    known = min(_MOST, end - rank)
    for begin in range(min(rank, len(tied) - known), -1, -1):
        if _digest(tied[begin : begin + known]) == digest:
            removed, is_unknown = rank - begin, begin < rank and len(tied) + rank - begin > end
            break
    else:
        # Removed with all older ones: the remaining records are newer.
        removed, is_unknown = rank + 1 if begins else 0, True
    for record in tied if removed else ():
        record.key = *record.key[:4], record.key[4] + removed, record.key[5]
    return is_unknown and bool(tied)


def _tied_with(position: Position, records: Sequence[SubnotoRecord]) -> list[SubnotoRecord]:
    """Return the tied records by rank."""
    tied = [record for record in records if record.key[:4] == position[:4]]
    return sorted(tied, key=lambda record: record.key[4])


def _digest(records: Sequence[SubnotoRecord]) -> int:
    return digest_of([record.row for record in records])
