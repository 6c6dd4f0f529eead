"""Ranks of records of one microsecond, category and envelope, after the provider has removed or reordered some of them.

A rank counts from the first remaining record, in the order of the provider's list. Without correction, a page that
ended within such a tie would be followed by one that repeats or omits its records. If it is unknown which records a
page returned, all of the tie follow once more, in the order of their content, which neither removals nor additions
change: with the rank of the page's last record and a place of their own, other than 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from app.domain.position import Position, is_beyond
from app.paging.steadiness import digest_of
from app.providers.subnoto.record import SubnotoRecord

_MOST = 8  #: records with a remembered digest; several, because of twins
_MOST_REORDERED = 16  #: records whose returned ones are found by their sum: at most 12,870 combinations
_BITS = 32  #: of a digest, and of a sum
_TWIN_BITS = 16  #: of a number of equal records
_ALL_PLACES = 1 << _BITS + _TWIN_BITS + 1


def ties_at(position: Position, records: Sequence[SubnotoRecord], *, ascending: bool) -> list[int]:
    """Return two numbers for a cursor, each with two of 32 bits: the first rank of the records tied with the one at a
    position, and the rank after the last; the sum of the returned ones, which no order changes, and a digest of the
    first ones from the position on."""
    if len(position) == 1 or not (tied := _tied_with(position, records)):
        return [0, 0]
    following = [record for record in tied if record.key >= position]
    returned = [record for record in tied if not is_beyond(record.key, position, ascending)]
    sums = _sum(map(_content, returned)), _digest(following[:_MOST])
    return [high << _BITS | low for high, low in ((tied[0].key[4], tied[-1].key[4] + 1), sums)]


def restore_ranks(
    records: Sequence[SubnotoRecord], position: Position, remembered: Sequence[int], *, ascending: bool
) -> bool:
    """Restore the ranks that the records tied with the one at a position had when its page was read. `remembered` is
    the result of `ties_at`. Returns whether it remains unknown which of them were returned. Their number does not show
    it, because new ones may have been added."""
    if len(position) == 1 or not remembered or not remembered[0] or not (tied := _tied_with(position, records)):
        return False
    rank, contents = position[4], [_content(one) for one in tied]
    (begin, end), (total, digest) = (divmod(number, 1 << _BITS) for number in remembered)
    count = rank + 1 - begin if ascending else end - rank
    # Descending, records behind the returned ones are new ones.
    firsts = (0,) if ascending else (rank - begin, len(tied) - count)
    if position[5]:
        _order_by_content(tied, rank, ascending=ascending)
    elif (first := _in_a_row(contents, count, total, firsts)) is not None:
        _rank(tied, begin if ascending else rank - first)
    elif (ascending or len(tied) <= end - begin) and (returned := _in_any_order(contents, count, total)) is not None:
        others = [at for at in range(len(tied)) if at not in returned]
        order = [*returned, *others] if ascending else [*others, *returned]
        _rank([tied[at] for at in order], begin if ascending else rank - len(others))
    elif (first := _behind_removed(tied, rank - begin, end - rank, digest)) is not None:
        _rank(tied, rank - first)
    else:
        _order_by_content(tied, rank, ascending=ascending)
        return True
    return False


def _in_a_row(contents: Sequence[int], count: int, total: int, firsts: Sequence[int]) -> int | None:
    """Return the first of `count` records in a row that have the sum of the returned ones."""
    sums = ((first, _sum(contents[first : first + count])) for first in firsts if first >= 0)
    return next((first for first, found in sums if found == total), None)


def _in_any_order(contents: Sequence[int], count: int, total: int) -> Sequence[int] | None:
    """Return the places of `count` records, of a few, that have the sum of the returned ones: the provider changes the
    order of equal times."""
    places = range(len(contents) if len(contents) <= _MOST_REORDERED else 0)
    found = (chosen for chosen in combinations(places, count) if _sum(contents[at] for at in chosen) == total)
    return next(found, None)


def _behind_removed(tied: Sequence[SubnotoRecord], expected: int, count: int, digest: int) -> int | None:
    """Return the place from which on records have the digest, if it shows that records before it were removed, and none
    was added: `count` were from the `expected` place on."""
    known = min(_MOST, count)
    places = range(min(expected, len(tied) - known), -1, -1)
    first = next((at for at in places if _digest(tied[at : at + known]) == digest), expected)
    return first if first < expected and len(tied) - first <= count else None


def _rank(tied: Sequence[SubnotoRecord], first: int) -> None:
    """Give the records consecutive ranks."""
    for rank, record in enumerate(tied, first):
        record.key = *record.key[:4], rank, record.key[5]


def _order_by_content(tied: Sequence[SubnotoRecord], rank: int, *, ascending: bool) -> None:
    """Give all records this rank, and places after 0 in the direction of reading: their content and, of equal ones, a
    number."""
    twins = Counter[int]()
    for record in tied:
        content = _content(record)
        place = (content + 1 << _TWIN_BITS) + twins[content]
        record.key = *record.key[:4], rank, place if ascending else place - _ALL_PLACES
        twins[content] += 1


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
