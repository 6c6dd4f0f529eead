"""Probe a Taktikal account."""

from __future__ import annotations

from app.domain.errors import SourceError
from app.domain.times import DAY
from app.providers.base import CallBudget, ProbeResult
from app.providers.taktikal.calibration import calibrate
from app.providers.taktikal.client import DateRange, Filters, TaktikalClient
from app.providers.taktikal.list_reader import ListReader
from app.providers.taktikal.observations import AccountObservations

_DAYS = 150
_TAKE = 1000
_EVERYTHING = Filters()


async def probe(
    client: TaktikalClient, facts: AccountObservations, spent: CallBudget, now: int, max_age: int
) -> list[ProbeResult]:
    """Probe with about ten calls, which load up to a thousand processes to measure the largest response."""
    within = DateRange.around(now - max(_DAYS * DAY, max_age), now)
    try:
        total = await client.total(within, _EVERYTHING, spent)
        if total is None and await client.is_older_server(within, spent):
            found = "the older generation: it has no /signing/activity/total, Search or StatusFilter"
            advice = "TAKTIKAL_BASE_URL of a current server, such as https://core.taktikal.com/api"
            return [ProbeResult("server", "failed", found, advice)]
        if total is None:
            await client.activity(within, _EVERYTHING, spent, take=1)
    except SourceError as error:
        return [ProbeResult.of_failure(error, "TAKTIKAL_COMPANY_KEY, TAKTIKAL_API_KEY", "TAKTIKAL_BASE_URL")]
    number, days = "an unknown number of" if total is None else total, (within.end - within.start) // DAY
    findings = [ProbeResult("credentials", "ok", f"accepted; {number} signing processes in {days} days")]
    try:
        if facts.selects is None or facts.whole is None:
            await calibrate(client, within, facts, spent)
        findings.append(_ranges(facts, max_age))
        findings.append(_logs(facts))
        findings.append(await _take(client, within, facts, spent, _TAKE if total is None else total))
    except SourceError as error:
        findings.append(ProbeResult("activity", "failed", error.detail))
    return findings


def _how(facts: AccountObservations, name: str) -> str:
    return next((fact["how"] for fact in facts.describe() if fact["name"] == name), "")


def _ranges(facts: AccountObservations, max_age: int) -> ProbeResult:
    how = _how(facts, "range_selects")
    if facts.selects == "activity":
        return ProbeResult("date range", "ok", f"selects by activity: {how}", "TAKTIKAL_DATE_RANGE_MODE=activity")
    if facts.selects is not None:
        costs = {"creation": "the processes of", "last_update": "what was updated in"}[facts.selects]
        found = f"selects by {facts.selects.replace('_', ' ')}: {how}; a page costs {costs} {max_age // DAY} days"
        return ProbeResult("date range", "warning", found, "TAKTIKAL_MAX_ENVELOPE_AGE: the age an envelope can have")
    found = f"not found out: {how}; the safe, slower way is taken"
    return ProbeResult("date range", "unknown", found, "TAKTIKAL_DATE_RANGE_MODE, if you know it")


def _logs(facts: AccountObservations) -> ProbeResult:
    if facts.whole is None:
        return ProbeResult("logs", "unknown", _how(facts, "logs"))
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
    page, taken = await ListReader(client, _EVERYTHING, facts, spent).take(within, asked)
    facts.answered(page, taken)
    if page.length < taken:
        facts.cut(page)
        return ProbeResult("Take", "warning", f"answers are cut off at {page.length}: windows are made smaller")
    if facts.cap is not None:
        return ProbeResult("Take", "warning", f"more than {facts.cap} cannot be had at once: windows are made smaller")
    return ProbeResult("Take", "ok", f"answers of {page.length} come whole")
