"""Finds out what a date range selects, and whether logs come trimmed, from the account's own answers.

The recipe is that of the vendor notes: take a process whose entries lie in two disjoint ranges and ask for it in the
later one only. Found there, the range selects by activity; its earlier entries present, logs come whole. First the
control: a range that holds neither its creation nor an entry must not return it; otherwise the server ignores dates
beside a key, and the same is asked without the key.

Concluding "activity" where it is not so would lose events, so it needs positive proof; everything else leaves the
safe way in force.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.times import DAY, SECOND, format_seconds
from app.providers.base import Spent
from app.providers.concurrency import together
from app.providers.taktikal.client import DateRange, Filters, TaktikalClient
from app.providers.taktikal.facts import Facts
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import ActivityPage, Process

_SAMPLES = (10, 50)
_GAP = 2 * SECOND  #: between the two entries: ranges are asked for in whole seconds
_LONG_BEFORE = 3650 * DAY
_NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Suspect:
    """A process with entries in two disjoint ranges. Times in µs."""

    process: Process
    first: int
    last: int
    entries: int


async def calibrate(client: TaktikalClient, within: DateRange, facts: Facts, spent: Spent, now: int) -> None:
    """Looks for evidence inside `within` and writes what it finds into `facts`. Four calls, eight at the most.

    Raises SourceError where the provider does not answer."""
    suspect = None
    for take in _SAMPLES:
        sample = await client.activity(within, _NO_FILTERS, spent, take=take)
        facts.honoured = max(facts.honoured, sample.length)
        suspect = _pick(sample)
        if suspect is not None or sample.length < take:
            break
    if suspect is None:
        facts.evidence = "no signing process with entries at two different times was found"
        facts.looked_at, facts.looked_into = now, within.end - within.start
        return
    if not await _try(client, suspect, facts, spent, _NO_FILTERS.with_process(suspect.process.key), 10):
        await _try(client, suspect, facts, spent, _NO_FILTERS, 200)
    facts.looked_at, facts.looked_into = now, within.end - within.start
    facts.evidence += f" ({format_seconds(now)})"


async def _try(
    client: TaktikalClient, suspect: Suspect, facts: Facts, spent: Spent, filters: Filters, take: int
) -> bool:
    """Whether the dates were honoured, so that the answers can be believed."""
    beginning = suspect.first // SECOND * SECOND - _LONG_BEFORE
    ranges = (
        DateRange.around(suspect.last, suspect.last + 1),
        DateRange.around(suspect.first, suspect.first + 1),
        DateRange.around(beginning, beginning + DAY),
    )
    later, earlier, control = await together(
        client.activity(within, filters, spent, take=take) for within in ranges
    )
    key = suspect.process.key
    if control.length:
        facts.evidence = "the provider ignores dates beside a process key"
        return False
    at_last, at_first = _find(later, key), _find(earlier, key)
    if at_last is not None:
        facts.selects = "activity"
        facts.whole = len(at_last.entries) >= suspect.entries
        facts.evidence = "a process was found in a range that holds a later entry, but not its creation"
    elif at_first is not None and later.length < take:
        facts.selects = "creation"
        facts.whole = len(at_first.entries) >= suspect.entries
        facts.evidence = "a process was found in the range of its creation, but not in that of a later entry"
    else:
        facts.evidence = "a process was found neither in the range of its first entry nor in that of its last"
    return True


def _pick(sample: ActivityPage) -> Suspect | None:
    """The process whose entries lie furthest apart."""
    best: Suspect | None = None
    for process in sample.processes:
        times = [record.key[0] for record in records_of("", process)[0]]
        if not times:
            continue
        found = Suspect(process, min(times), max(times), len(process.entries))
        far_enough = found.last // SECOND * SECOND - found.first >= _GAP
        if far_enough and (best is None or found.last - found.first > best.last - best.first):
            best = found
    return best


def _find(page: ActivityPage, key: str) -> Process | None:
    return next((process for process in page.processes if process.key == key), None)
