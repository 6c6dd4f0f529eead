"""Determine what a date range selects, and whether logs are trimmed, from the account's own responses; and probe it.

Take a process with entries in disjoint ranges, and request it in the range of its first entry, of its last, and of one
in the middle. If all return it, ranges select by activity; if only the first does, by creation; if only the
last does, by last update. If all entries are present, logs are whole. As a control, a range directly after the last
entry must not return it. Otherwise the server ignores dates with a key, and the calls are repeated without the key, or
its dates are coarser than a second, and the result is unknown.

A wrong conclusion "activity" would lose events, so it needs positive proof; all other results keep the safe method.
"""

from __future__ import annotations

import msgspec

from app.domain.errors import SourceError
from app.domain.times import DAY, SECOND
from app.providers.base import CallBudget, ProbeResult
from app.providers.http.concurrency import gather_all
from app.providers.taktikal.client import DateRange, TaktikalClient
from app.providers.taktikal.list_calls import ListCalls
from app.providers.taktikal.observations import AccountObservations, Selection, keys_of
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import Process

#: Fewest at first, because such a response shows that later ones of fewer were not truncated.
_SAMPLES = (50, 200)
_RESPONSES = 8  #: to a sample that the server truncates
_GAP = 2 * SECOND  #: between entries and ranges, which have whole seconds
_DAYS, _TAKE = 150, 1000  #: of a probe


class CalibrationSample(msgspec.Struct, frozen=True):
    """A process with entries in disjoint ranges. Times in µs. It was created from `first` to `created`; `middle` is
    None without an entry apart from those and the last, or if the last is too near to midnight to show anything."""

    process: Process
    first: int
    created: int
    middle: int | None
    last: int


async def calibrate(client: TaktikalClient, within: DateRange, facts: AccountObservations, spent: CallBudget) -> None:
    """Search for evidence inside `within` and record it in `facts`. Five to ten calls, unless the provider refuses so
    many processes at a time.

    Raises SourceError without a response of the provider."""
    reader, width = ListCalls(client, {}, facts, spent), within.end - within.start
    chosen = await _choose(reader, within)
    if chosen is None:
        facts.found(None, None, width, "no signing process with entries at two different times was found")
        return
    verdict = await _ask(reader.one(chosen.process.key), chosen, 10)
    if verdict is None and not facts.truncates:
        # Dates with a process key are ignored; without one they cannot be. A truncated control would show nothing.
        verdict = await _ask(reader, chosen, 200)
    facts.found(*(verdict or (None, None)), width, _EVIDENCE[verdict[0] if verdict else "ignored"])


async def _choose(reader: ListCalls, within: DateRange) -> CalibrationSample | None:
    """Return the process with the largest distance of entries, preferably with one in the middle. A server that
    truncates responses is asked for several, because the first may have a single process."""
    facts, chosen = reader.facts, None
    for most in _SAMPLES:
        page, take = await reader.take(within, most)
        facts.answered(page, take)
        places = await reader.places(page, within)
        is_all, processes, skip = places < most, page.processes, places
        for _ in range(_RESPONSES):
            facts.lived(page.processes)
            samples = (one for process in processes if (one := _sample_of(process, facts.latest)) is not None)
            chosen = max(samples, key=lambda one: (one.middle is not None, one.last - one.first), default=None)
            is_enough = chosen is not None and chosen.middle is not None
            if not 0 < places < most or (is_enough and skip > places):
                break
            behind, next_take = await reader.take(within, most, skip)
            if keys_of(behind) <= {process.key for process in processes}:
                break  # the end, or the server ignores `Skip`
            if places < take:
                facts.cut(page)
            take, page, processes = next_take, behind, [*processes, *behind.processes]
            places = await reader.places(page, within)
            skip += places
        if is_all or is_enough:
            break
    return chosen


_EVIDENCE: dict[str | None, str] = {
    "activity": "a process was found in ranges that hold one entry of it each, at its beginning, middle and end",
    "creation": "a process was found in the range of its first entry, but not in that of its last",
    "last_update": "a process was found in the range of its last entry, but not in that of its first",
    None: "a process was found in the ranges of neither its first entry nor its last, or of both but none between",
    "ignored": "the provider returned a process for a range that holds nothing of it",
}


async def _ask(reader: ListCalls, chosen: CalibrationSample, most: int) -> tuple[Selection | None, bool | None] | None:
    """Return what ranges select and whether logs are whole; None if dates were ignored, so that both are unknown."""
    key, behind = chosen.process.key, chosen.last + _GAP
    spans = [(chosen.first, chosen.created), (chosen.last, chosen.last), (behind, behind)]
    if chosen.middle is not None:
        spans.append((chosen.middle, chosen.middle))
    pages = await gather_all(reader.take(DateRange.around(start, end + 1), most) for start, end in spans)
    full = [reader.facts.places(page) >= take for page, take in pages]
    found = [next((one for one in page.processes if one.key == key), None) for page, _ in pages]
    if found.pop(2) is not None or full.pop(2):
        return None
    at_first, at_last, *at_middle = found
    longest = max((len(one.entries) for one in (at_first, at_last) if one is not None), default=0)
    whole = longest >= len(chosen.process.entries)
    if at_first is not None and at_last is not None:
        # Without one in the middle, it may be processes created or last updated in the range.
        return ("activity" if any(at_middle) else None), whole
    if at_first is not None and not full[1]:
        return "creation", whole
    if at_last is not None and not full[0]:
        return "last_update", whole
    return None, None


def _sample_of(process: Process, latest: int) -> CalibrationSample | None:
    records = records_of("", process, latest=latest)[0]
    if not records:
        return None
    times = sorted(record.key[0] for record in records)
    first, last = times[0], times[-1]
    # The vendor does not define the creation: the first entry, or that with this status.
    created = max([first, *(one.key[0] for one in records if one.provider_type.casefold() == "created")])
    if last // SECOND * SECOND - created < _GAP:
        return None
    apart = [time for time in times if time // SECOND * SECOND - created >= _GAP <= last // SECOND * SECOND - time]
    # A server may round dates to days: the range of the last entry and the control must be of one day.
    is_by_midnight = (last - SECOND) // DAY != (last + 2 * _GAP) // DAY
    middle = apart[len(apart) // 2] if apart and not is_by_midnight else None
    return CalibrationSample(process, first, created, middle, last)


async def probe(
    client: TaktikalClient, facts: AccountObservations, spent: CallBudget, now: int, max_age: int
) -> list[ProbeResult]:
    """Probe with about ten calls, which load up to a thousand processes to measure the largest response."""
    within = DateRange.around(now - max(_DAYS * DAY, max_age), now)
    try:
        total = await client.total(within, {}, spent)
        if total is None and await client.is_older_server(within, spent):
            found = "the older generation: it has no /signing/activity/total, Search or StatusFilter"
            advice = "TAKTIKAL_BASE_URL of a current server, such as https://core.taktikal.com/api"
            return [ProbeResult("server", "failed", found, advice)]
        if total is None:
            await client.activity(within, {}, spent, take=1)
    except SourceError as error:
        return [ProbeResult.of_failure(error, "TAKTIKAL_COMPANY_KEY, TAKTIKAL_API_KEY", "TAKTIKAL_BASE_URL")]
    number, days = "an unknown number of" if total is None else total, (within.end - within.start) // DAY
    findings = [ProbeResult("credentials", "ok", f"accepted; {number} signing processes in {days} days")]
    try:
        if facts.selects is None or facts.whole is None:
            await calibrate(client, within, facts, spent)
        how = {fact["name"]: fact["how"] for fact in facts.describe()}
        findings += [_ranges(facts, how.get("range_selects", ""), max_age), _logs(facts, how.get("logs", ""))]
        findings.append(await _take(client, within, facts, spent, _TAKE if total is None else total))
    except SourceError as error:
        findings.append(ProbeResult("activity", "failed", error.detail))
    return findings


def _ranges(facts: AccountObservations, how: str, max_age: int) -> ProbeResult:
    if facts.selects == "activity":
        return ProbeResult("date range", "ok", f"selects by activity: {how}", "TAKTIKAL_DATE_RANGE_MODE=activity")
    if facts.selects is not None:
        costs = {"creation": "the processes of", "last_update": "what was updated in"}[facts.selects]
        found = f"selects by {facts.selects.replace('_', ' ')}: {how}; a page costs {costs} {max_age // DAY} days"
        return ProbeResult("date range", "warning", found, "TAKTIKAL_MAX_ENVELOPE_AGE: the age an envelope can have")
    found = f"not found out: {how}; the safe, slower way is taken"
    return ProbeResult("date range", "unknown", found, "TAKTIKAL_DATE_RANGE_MODE, if you know it")


def _logs(facts: AccountObservations, how: str) -> ProbeResult:
    if facts.whole is None:
        return ProbeResult("logs", "unknown", how)
    if facts.whole:
        return ProbeResult("logs", "ok", "come whole", "TAKTIKAL_LOG_MODE=whole")
    found = "come trimmed to the range: envelope.owner is often null"
    return ProbeResult("logs", "ok", found, "TAKTIKAL_LOG_MODE=trimmed")


async def _take(
    client: TaktikalClient, within: DateRange, facts: AccountObservations, spent: CallBudget, total: int
) -> ProbeResult:
    asked = facts.at_most(min(_TAKE, total))
    if asked <= facts.honoured and facts.cap is None:
        return ProbeResult("Take", "ok", f"responses of {facts.honoured} were complete")
    page, taken = await ListCalls(client, {}, facts, spent).take(within, asked)
    facts.answered(page, taken)
    if page.length < taken:
        facts.cut(page)
        return ProbeResult("Take", "warning", f"answers are cut off at {page.length}: windows are made smaller")
    if facts.cap is not None:
        return ProbeResult("Take", "warning", f"more than {facts.cap} cannot be had at once: windows are made smaller")
    return ProbeResult("Take", "ok", f"answers of {page.length} come whole")
