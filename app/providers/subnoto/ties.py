"""Ranks of records of one microsecond, category and envelope, after the provider has removed or reordered some of them.

A rank counts from the first remaining record, in the order of the provider's list. Without correction, a page that
ended within such a tie would be followed by one that repeats or omits its records. If it is unknown which records a
page returned, all of the tie follow once more, in the order of their content, which no later response changes: with the
rank of the page's last record and a place of their own, other than 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from app.domain.position import Position, is_beyond
from app.paging.steadiness import digest_of
from app.providers.subnoto.record import SubnotoRecord

_MOST = 8  #: records with a remembered digest; several, because of twins
_MOST_REORDERED = 16  #: records whose returned ones are found by their sum: at most 12,870 combinations
_BITS = 32  #: of a digest, and of a sum


def ties_at(position: Position, records: Sequence[SubnotoRecord], *, ascending: bool) -> list[int]:
    """Return, for a cursor, the rank after the last record tied with the one at a position, and two numbers of 32 bits
    in one: a digest of the first tied ones from it on, and the sum of the returned ones, which no order changes."""
    if len(position) == 1 or not (tied := _tied_with(position, records)):
        return [0, 0]
    following = [record for record in tied if record.key >= position]
    returned = [record for record in tied if not is_beyond(record.key, position, ascending)]
    return [tied[-1].key[4] + 1, _digest(following[:_MOST]) | _sum(map(_content, returned)) << _BITS]


def restore_ranks(
    records: Sequence[SubnotoRecord], position: Position, remembered: Sequence[int], *, ascending: bool, begins: bool
) -> bool:
    """Restore the ranks that the records tied with the one at a position had when its page was read. `remembered` is
    the result of `ties_at`; `begins`: whether the first row of the log was read.

    The present place of the remembered records shows how many were removed. Their number does not, because new ones
    may have been added. If they have another place and none is missing, the provider may have changed the order of
    equal times: then their sum shows which were returned. Returns whether that remains unknown."""
    if len(position) == 1 or not remembered or not remembered[0]:
        return False
    tied, (end, numbers), rank = _tied_with(position, records), remembered, position[4]
    total, digest = divmod(numbers, 1 << _BITS)
    if position[5]:
        _order_by_content(tied, rank, ascending=ascending)
        return total != _sum(_content(one) for one in tied if not is_beyond(one.key, position, ascending))
    known = min(_MOST, end - rank)
    for begin in range(min(rank, len(tied) - known), -1, -1):
        if _digest(tied[begin : begin + known]) == digest:
            removed, is_unknown = rank - begin, begin < rank and len(tied) + rank - begin > end
            if not removed and total:  # those that the digest leaves out may have changed places
                is_unknown = _sum(map(_content, tied[: rank + 1] if ascending else tied[rank:end])) != total
            break
    else:
        # Removed with all older ones: the remaining records are newer.
        removed, is_unknown = rank + 1 if begins else 0, True
    if is_unknown and len(tied) >= end:
        if _reorder(tied, rank, end, total, ascending=ascending):
            return False
        _order_by_content(tied, rank, ascending=ascending)
        return True
    for record in tied if removed else ():
        record.key = *record.key[:4], record.key[4] + removed, record.key[5]
    return is_unknown and bool(tied)


def _order_by_content(tied: Sequence[SubnotoRecord], rank: int, *, ascending: bool) -> None:
    """Give all records this rank, and places after 0 in the direction of reading, by their content."""
    for place, record in enumerate(sorted(tied, key=_content), 1 if ascending else -len(tied)):
        record.key = *record.key[:4], rank, place


def _reorder(tied: Sequence[SubnotoRecord], rank: int, end: int, total: int, *, ascending: bool) -> bool:
    """Rank the records whose sum is `total`, which the page up to `rank` and earlier ones returned, before the others
    in the direction of reading. Returns whether they were found. Descending, none must have been added."""
    count = rank + 1 if ascending else end - rank
    if len(tied) > (_MOST_REORDERED if ascending else min(end, _MOST_REORDERED)):
        return False
    contents = [_content(record) for record in tied]
    for returned in combinations(range(len(tied)), count):
        if _sum(contents[at] for at in returned) == total:
            others = [at for at in range(len(tied)) if at not in returned]
            for place, at in enumerate([*returned, *others] if ascending else [*others, *returned]):
                tied[at].key = *tied[at].key[:4], place, tied[at].key[5]
            return True
    return False


def _tied_with(position: Position, records: Sequence[SubnotoRecord]) -> list[SubnotoRecord]:
    """Return the tied records by rank."""
    tied = [record for record in records if record.key[:4] == position[:4]]
    return sorted(tied, key=lambda record: record.key)


def _content(record: SubnotoRecord) -> int:
    return digest_of([record.row])


def _sum(contents: Iterable[int]) -> int:
    """Return a sum of 32 bits that is not 0, which is that of cursors without a sum."""
    return sum(contents) % ((1 << _BITS) - 1) + 1


def _digest(records: Sequence[SubnotoRecord]) -> int:
    return digest_of([record.row for record in records])
