"""`audit-gateway probe`: its results for accounts that differ in what the vendors do not document."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.cli.probe import measure_lag
from app.providers.base import CallBudget, ProbeResult, Source
from sandbox.launcher import start_sandbox
from tests.cli.served import call
from tests.worlds import SubnotoOptions, TaktikalOptions, served_world, world


async def findings(source: Source) -> dict[str, ProbeResult]:
    return {finding.topic: finding for finding in await source.probe(CallBudget())}


@pytest.mark.parametrize(
    ("ranges", "logs", "key_dates"), [("activity", "whole", "honoured"), ("creation", "trimmed", "ignored")]
)
async def test_probe_finds_the_range_and_log_modes_of_taktikal(ranges: Any, logs: Any, key_dates: Any) -> None:
    options = TaktikalOptions(events=900, range_selects=ranges, logs=logs, key_dates=key_dates, order="shuffled")
    async with world(taktikal=options) as one:
        feed = one.gateway()
        found = await findings(feed.sources["taktikal"])
        assert found["credentials"].state == "ok"
        assert f"by {ranges}" in found["date range"].found
        assert logs in found["logs"].found
        facts = {fact["name"]: fact for fact in feed.sources["taktikal"].describe()["observations"]}
        assert (facts["range_selects"]["value"], facts["logs"]["value"]) == (ranges, logs)
        assert facts["range_selects"]["at"]
        assert facts["range_selects"]["how"]
        assert one.refused() == []


async def test_without_evidence_the_safe_mode_stays() -> None:
    async with world(taktikal=TaktikalOptions(events=0)) as one:
        for number in range(5):
            one.taktikal.history.append(f"lonely-{number}", "Created")
        one.clock.advance(minutes=1)
        found = await findings(one.gateway().sources["taktikal"])
        assert found["date range"].state == "unknown"
        assert "safe" in found["date range"].found


async def test_probe_finds_the_largest_take() -> None:
    async with world(taktikal=TaktikalOptions(events=2000, max_take=60)) as one:
        found = await findings(one.gateway().sources["taktikal"])
        assert (found["Take"].state, "60" in found["Take"].found) == ("warning", True)


@pytest.mark.parametrize("cap", [5, 60, 2000])
async def test_probe_finds_a_take_that_is_refused(cap: int) -> None:
    async with world(taktikal=TaktikalOptions(events=12 * cap + 3_000, max_take=cap, take_beyond="refused")) as one:
        found = await findings(one.gateway().sources["taktikal"])
        assert found["date range"].state == "ok"
        assert found["Take"].state == ("ok" if cap > 1000 else "warning")
        assert ("refused" in found["Take"].found or "cannot be had" in found["Take"].found) == (cap < 1000)


async def test_probe_warns_of_a_forbidden_category() -> None:
    async with world(subnoto=SubnotoOptions(events=300, permissions=frozenset({"envelope"}))) as one:
        found = await findings(one.gateway().sources["subnoto"])
        assert (found["envelope"].state, found["team"].state) == ("ok", "warning")
        assert "Read Team" in str(found["team"].advice)


async def test_probe_finds_the_shape_and_skew_of_subnoto() -> None:
    options = SubnotoOptions(events=2000, totals="totalCount", author="id", unit="seconds", skew_seconds=110)
    async with world(subnoto=options) as one:
        found = await findings(one.gateway().sources["subnoto"])
        assert found["shape"].found == "total totalCount, author id, timestamp in seconds"
        assert found["skew"].state == "warning"
        assert str(found["skew"].advice).startswith("SUBNOTO_MAX_TIME_SKEW=")


async def test_observations_have_their_time_and_evidence() -> None:
    async with world(subnoto=SubnotoOptions(events=200)) as one:
        feed = one.gateway()
        source = feed.sources["subnoto"]
        one.clock.advance(seconds=-90)  # the gateway uses the same clock, which agrees with the emulator's Date
        await findings(source)
        facts = {fact["name"]: fact for fact in source.describe()["observations"]}
        assert abs(facts["clock_offset_seconds"]["value"]) <= 1
        assert all(fact["how"] and fact["at"] for fact in facts.values())


@pytest.mark.parametrize("provider", ["taktikal", "subnoto"])
def test_the_command_names_the_source_and_shows_no_key(provider: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"taktikal": TaktikalOptions(events=300), "subnoto": SubnotoOptions(events=300)}
    options = {name: options[name] if name == provider else None for name in options}
    with served_world(**options) as one:
        command = call("probe", "--wait", "0", env=one.env, cwd=tmp_path)
        assert command.returncode == 0, command.stderr
        assert f"source {provider}" in command.stdout
        wrong = {name: "00ff" if "KEY" in name else value for name, value in one.env.items()}
        refused = call("probe", "--wait", "0", env=wrong, cwd=tmp_path)
        assert refused.returncode == 1
        assert "failed" in refused.stdout
        assert "00ff" not in refused.stdout + refused.stderr


def test_advice_is_printed_as_settings_to_copy(tmp_path: Path) -> None:
    """On a terminal of any width."""
    with start_sandbox(events=600, days=60, seed=5) as sandbox:
        command = call("probe", "--wait", "0", env=sandbox.env | {"COLUMNS": "30"}, cwd=tmp_path)
    assert {"TAKTIKAL_DATE_RANGE_MODE=activity", "TAKTIKAL_LOG_MODE=whole"} <= set(command.stdout.splitlines())
    assert "settle =" not in command.stdout
    with served_world(taktikal=None, subnoto=SubnotoOptions(events=300, permissions=frozenset({"envelope"}))) as one:
        command = call("probe", "--wait", "0", env=one.env | {"COLUMNS": "30"}, cwd=tmp_path)
    (advice,) = [line for line in command.stdout.splitlines() if line.startswith("# ")]
    assert advice.startswith("# team: "), "advice that is no setting is a comment"
    assert "Read Team" in advice


@pytest.mark.parametrize(
    ("recent_events", "lag", "state", "advice"),
    [(0, 12, "ok", None), (1100, 12, "ok", None), (0, 50, "warning", "GATEWAY_SETTLE=200")],
)
async def test_the_lag_is_measured_by_two_reads(recent_events: int, lag: int, state: str, advice: str | None) -> None:
    """Also if the recent events fill more than one page. A long lag comes with the setting to change."""
    async with world(subnoto=SubnotoOptions(events=200)) as one:
        feed = one.gateway()
        history = one.subnoto.history
        for number in range(recent_events):
            history.append("ENVELOPE_CREATED", timestamp=one.clock() - timedelta(seconds=550 - number / 2))

        async def meanwhile(seconds: float) -> None:
            timestamp = int(one.clock().timestamp() * 1000) - lag * 1000
            one.clock.advance(seconds=seconds)
            history.append("ENVELOPE_OPENED", timestamp=timestamp)

        source = feed.sources["subnoto"]
        (found,) = await measure_lag(feed, source, 20, clock=lambda: one.now, sleep=meanwhile)
        assert (found.state, found.advice) == (state, advice)
        assert advice or "12.0 s after its time; held back for 30 s, which is enough" in found.found


@pytest.mark.parametrize("provider", ["taktikal", "subnoto"])
@pytest.mark.parametrize(
    ("status", "topic", "setting"), [(401, "credentials", "_KEY"), (500, "connection", "_BASE_URL")]
)
async def test_probe_names_a_failed_connection_or_login(provider: str, status: int, topic: str, setting: str) -> None:
    options = {"taktikal": TaktikalOptions(events=50), "subnoto": SubnotoOptions(events=50)}
    async with world(**{name: options[name] if name == provider else None for name in options}) as one:
        emulator = one.taktikal if provider == "taktikal" else one.subnoto
        emulator.faults.answer(status, times=50)
        found = await findings(one.gateway().sources[provider])
        assert [(one.topic, one.state) for one in found.values()] == [(topic, "failed")]
        advice = found[topic].advice
        assert advice is not None
        assert setting in advice
