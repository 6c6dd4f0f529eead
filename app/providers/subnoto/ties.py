"""Ranks of records of one microsecond, category and envelope, after the provider removed some of them.

A rank counts from the first record that is left: without correction, a page that ended within such a tie would be
followed by one that repeats its records.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.position import Position
from app.paging.steadiness import digest_of
from app.providers.subnoto.record import SubnotoRecord

_MOST = 8  #: records whose content is remembered; several, for twins


def ties_at(position: Position, records: Sequence[SubnotoRecord]) -> list[int]:
    """For a cursor: how many records are remembered of those tied with the one at a position, itself and newer ones,
    and a digest of their content."""
    if len(position) == 1:
        return [0, 0]
    tied = [record for record in _tied_with(position, records) if record.key[4] >= position[4]][:_MOST]
    return [len(tied), _digest(tied)]


def restore_ranks(
    records: Sequence[SubnotoRecord], position: Position, remembered: Sequence[int], *, begins: bool
) -> None:
    """Give the records tied with the one at a position the ranks that they had when its page was read. `remembered` is
    what `ties_at` gave then; `begins`: whether the first row of the log is among those read.

    Where the remembered ones stand now shows how many were removed. How many are left shows nothing, for new ones may
    have come."""
    if len(position) == 1 or not remembered or not remembered[0]:
        return
    tied, (known, digest), rank = _tied_with(position, records), remembered, position[4]
    for begin in range(min(rank, len(tied) - known), -1, -1):
        if _digest(tied[begin : begin + known]) == digest:
            removed = rank - begin
            break
    else:
        # Removed itself, and with it all that are older: what is left is newer.
        removed = rank + 1 if begins else 0
    for record in tied if removed else ():
        record.key = *record.key[:4], record.key[4] + removed, record.key[5]


def _tied_with(position: Position, records: Sequence[SubnotoRecord]) -> list[SubnotoRecord]:
    """By rank."""
    tied = [record for record in records if record.key[:4] == position[:4]]
    return sorted(tied, key=lambda record: record.key[4])


def _digest(records: Sequence[SubnotoRecord]) -> int:
    return digest_of([record.row for record in records])
