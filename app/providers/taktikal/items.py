"""Compare the items of a process in several responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from app.providers.taktikal.models import contents_of, shares_twins
from app.providers.taktikal.wire import ActivityPage, Process


def entries_of(processes: Iterable[Process]) -> int:
    return sum(len(one.entries) for one in processes)


def adds_to(known: Iterable[Process], later: ActivityPage) -> bool:
    """Whether a later response contains processes or entries that the known processes do not."""
    logs = {one.key: one.entries for one in known}
    return any(one.key not in logs or contents_of(one.entries) - contents_of(logs[one.key]) for one in later.processes)


def compare_items(pages: Sequence[ActivityPage]) -> tuple[bool, bool]:
    """Return whether a process is in parts on several pages of a list, and whether such items share entries without
    ids, which may be twins or one entry."""
    items: dict[str, list[Process]] = {}
    for page in pages:
        for process in page.processes:
            items.setdefault(process.key, []).append(process)
    splits = shares = False
    for one, other in (pair for found in items.values() for pair in pairwise(found)):
        mine, theirs = contents_of(one.entries), contents_of(other.entries)
        splits |= bool(mine - theirs and theirs - mine)
        shares |= shares_twins(mine & theirs, other.entries)
    return splits, shares
