"""Compare the items of a process in several responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from app.providers.taktikal.models import content_of, contents_of, shares_twins
from app.providers.taktikal.wire import ActivityPage, Process


def entries_of(processes: Iterable[Process]) -> int:
    return sum(len(one.entries) for one in processes)


def adds_to(known: Iterable[Process], later: ActivityPage) -> bool:
    """Whether a later response contains processes or entries that the known processes do not."""
    logs = {one.key: one.entries for one in known}
    return any(one.key not in logs or contents_of(one.entries) - contents_of(logs[one.key]) for one in later.processes)


def distinct(pages: Iterable[ActivityPage]) -> dict[tuple[str | bytes, ...], Process]:
    """Return the items of all pages, each once, by their content."""
    parts = (part for page in pages for part in page.parts)
    return {(part.key, *sorted(map(content_of, part.entries))): part for part in parts}


def compare_items(pages: Sequence[ActivityPage]) -> tuple[str | None, bool]:
    """Return the key of a process that is in parts on several pages of a list, and whether such items share entries
    without ids, which may be twins or one entry."""
    items: dict[str, list[Process]] = {}
    for page in pages:
        for process in page.processes:
            items.setdefault(process.key, []).append(process)
    split, shares = None, False
    for one, other in (pair for found in items.values() for pair in pairwise(found)):
        mine, theirs = contents_of(one.entries), contents_of(other.entries)
        split = one.key if mine - theirs and theirs - mine else split
        shares |= shares_twins(mine & theirs, other.entries)
    return split, shares
