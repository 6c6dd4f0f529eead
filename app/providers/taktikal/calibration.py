"""Finds out what a date range selects, and whether logs come trimmed, from the account's own answers.

The recipe is that of the vendor notes: take a process whose entries lie in two disjoint ranges and ask for it in the
later one only. Found there, the range selects by activity; its earlier entries present, logs come whole. Along with it
the control: a range right behind its last entry must not return it; otherwise the server ignores dates beside a key,
and the same is asked without the key, or does not take them by the second, and nothing is learnt.

Concluding "activity" where it is not so would lose events, so it needs positive proof; everything else leaves the
safe way in force.
"""

from __future__ import annotations

import msgspec

from app.domain.times import SECOND
from app.providers.base import CallBudget
from app.providers.http.gather import gather_all
from app.providers.taktikal.client import DateRange, Filters, TakeRefused, TaktikalClient
from app.providers.taktikal.observations import Facts, Selection
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import ActivityPage, Process

_SAMPLES = (10, 50)
_GAP = 2 * SECOND  #: between entries and ranges: those are asked for in whole seconds
_NO_FILTERS = Filters()


class CalibrationSample(msgspec.Struct, frozen=True):
    """A process with entries in two disjoint ranges. Times in µs."""

    process: Process
    first: int
    last: int
    entries: int


async def calibrate(client: TaktikalClient, within: DateRange, facts: Facts, spent: CallBudget) -> None:
    """Looks for evidence inside `within` and tells `facts` what it found. Four calls, eight at the most, unless the
    provider refuses to give so many at a time.

    Raises SourceError where the provider does not answer."""
    while True:
        try:
            return await _look(client, within, facts, spent)
        except TakeRefused as refused:
            facts.refuse(refused.take)


async def _look(client: TaktikalClient, within: DateRange, facts: Facts, spent: CallBudget) -> None:
    suspect = None
    width = within.end - within.start
    for take in map(facts.at_most, _SAMPLES):
        sample = await client.activity(within, _NO_FILTERS, spent, take=take)
        facts.answered(sample.length)
        suspect = _pick(sample)
        if suspect is not None or sample.length < take:
            break
    if suspect is None:
        facts.found(None, None, width, "no signing process with entries at two different times was found")
        return
    verdict = await _ask(client, suspect, spent, _NO_FILTERS.with_process(suspect.process.key), facts.at_most(10))
    if verdict is None:
        # Dates beside a process key are ignored; without one they cannot be.
        verdict = await _ask(client, suspect, spent, _NO_FILTERS, facts.at_most(200))
    facts.found(*(verdict or (None, None)), width, _EVIDENCE[verdict[0] if verdict else "ignored"])


_EVIDENCE: dict[str | None, str] = {
    "activity": "a process was found in a range that holds a later entry of it, but not its creation",
    "creation": "a process was found in the range of its creation, but not in that of a later entry",
    None: "a process was found neither in the range of its first entry nor in that of its last, as where ranges are not"
    " taken by the second",
    "ignored": "the provider returned a process for a range that holds nothing of it",
}


async def _ask(
    client: TaktikalClient, suspect: CalibrationSample, spent: CallBudget, filters: Filters, take: int
) -> tuple[Selection | None, bool | None] | None:
    """What ranges select and whether logs come whole; None where dates were ignored, so that nothing is learnt."""
    key, behind = suspect.process.key, suspect.last + _GAP
    ranges = (
        DateRange.around(suspect.last, suspect.last + 1),
        DateRange.around(suspect.first, suspect.first + 1),
        DateRange.around(behind, behind + 1),
    )
    later, earlier, control = await gather_all(client.activity(within, filters, spent, take=take) for within in ranges)
    if _find(control, key) is not None or control.length >= take:
        return None
    at_last, at_first = _find(later, key), _find(earlier, key)
    if at_last is not None:
        return "activity", len(at_last.entries) >= suspect.entries
    if at_first is not None and later.length < take:
        return "creation", len(at_first.entries) >= suspect.entries
    return None, None


def _pick(sample: ActivityPage) -> CalibrationSample | None:
    """The process whose entries lie furthest apart."""
    best: CalibrationSample | None = None
    for process in sample.processes:
        times_and_statuses = [(r.key[0], r.provider_type.casefold()) for r in records_of("", process)[0]]
        times = [time for time, _ in times_and_statuses]
        if not times:
            continue
        found = CalibrationSample(process, min(times), max(times), len(process.entries))
        # The later range must not hold the creation, whatever the order of the log.
        created = max((time for time, status in times_and_statuses if status == "created"), default=found.first)
        far_enough = found.last // SECOND * SECOND - max(found.first, created) >= _GAP
        if far_enough and (best is None or found.last - found.first > best.last - best.first):
            best = found
    return best


def _find(page: ActivityPage, key: str) -> Process | None:
    return next((process for process in page.processes if process.key == key), None)
