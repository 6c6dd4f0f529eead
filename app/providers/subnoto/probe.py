"""Probe a Subnoto account: permissions, shapes of responses, order of times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.errors import SourceError, SourceForbidden
from app.providers.base import CallBudget, ProbeResult
from app.providers.subnoto.client import LogQuery, PageTooLarge, SubnotoClient
from app.providers.subnoto.envelopes import EnvelopeJoin
from app.providers.subnoto.observations import AccountObservations
from app.providers.subnoto.settings import BASE_URLS, SubnotoSettings
from app.providers.subnoto.wire import LogPage

_PAGES = 20  #: of the newest records, to measure how far times run back


async def probe(
    client: SubnotoClient,
    settings: SubnotoSettings,
    facts: AccountObservations,
    spent: CallBudget,
    join: EnvelopeJoin | None,
) -> list[ProbeResult]:
    """Probe with one call a category, up to twenty more, and one for an envelope if they are joined."""
    findings: list[ProbeResult] = []
    for category in settings.categories:
        query = LogQuery(category)
        try:
            total, newest = await _newest(client, query, facts, spent)
        except SourceForbidden as error:
            right = "Read Team" if category == "team" else "Read Envelope"
            advice = f"give the key {right}, or leave {category} out of SUBNOTO_CATEGORIES"
            findings.append(ProbeResult(category, "warning", f"not readable: {error.detail}", advice))
            continue
        except SourceError as error:
            keys = "SUBNOTO_ACCESS_KEY, SUBNOTO_SECRET_KEY"
            return [*findings, ProbeResult.of_failure(error, keys, "SUBNOTO_BASE_URL")]
        facts.learn(category, [page for _, page in newest])
        findings.append(ProbeResult(category, "ok", f"readable; {total} records"))
        rows = [row for _, page in newest for row in page.rows if row.sent.envelope_uuid]
        if join is not None and rows:
            findings.append(await join.probe(rows[-1].sent, spent))
    return [*findings, *_observed(facts, settings)]


async def _newest(
    client: SubnotoClient, query: LogQuery, facts: AccountObservations, spent: CallBudget
) -> tuple[int, list[tuple[int, LogPage]]]:
    """Return the number of records, and the last pages. Raises SourceError."""
    while True:
        size = facts.rows_at_once
        try:
            total = (await client.list_logs(query, [1], size, spent))[0][1].total
            last = -(-total // size)
            return total, await client.list_logs(query, range(max(1, last - _PAGES), last + 1), size, spent)
        except PageTooLarge as error:
            facts.too_large(size, error.bytes)


def _observed(facts: AccountObservations, settings: SubnotoSettings) -> list[ProbeResult]:
    known = {fact["name"]: fact["value"] for fact in facts.describe()}
    shapes = [f"{name} {known[key]}" for name, key in _SHAPES if key in known]
    findings = [ProbeResult("shape", "ok" if shapes else "unknown", ", ".join(shapes) or "no record seen")]
    step = known.get("largest_step_back_seconds", 0.0)
    found = f"times run back against insertion by up to {step:g} s in the newest records"
    if step * 2 > settings.max_time_skew:
        findings.append(ProbeResult("skew", "warning", found, f"SUBNOTO_MAX_TIME_SKEW={max(120, round(step * 4))}"))
    else:
        findings.append(ProbeResult("skew", "ok", f"{found}; allowed for: {settings.max_time_skew:g} s"))
    return findings


def tunnel_finding(tunnel: Mapping[str, Any]) -> ProbeResult:
    """Return a result on the transport of the probe's calls, from the tunnel's description."""
    if not tunnel["encrypted"]:
        found = "requests are signed, not encrypted: the vendor's SDK leaves that out towards this machine"
        return ProbeResult("tunnel", "warning", found, f"SUBNOTO_BASE_URL={BASE_URLS['tunnel']}")
    if tunnel["session"] == "none":
        return ProbeResult("tunnel", "failed", "no session with the enclave could be begun", "SUBNOTO_BASE_URL")
    attestation = tunnel["attestation"]
    if attestation is None:
        return ProbeResult("tunnel", "unknown", "encrypted; the vendor's SDK says nothing of the enclave's attestation")
    return ProbeResult("tunnel", "ok", f"encrypted; the enclave's attestation: {attestation}")


_SHAPES = (("total", "total_shape"), ("author", "author_shape"), ("timestamp in", "timestamp_shape"))
