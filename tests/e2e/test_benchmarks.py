"""The benchmarks run, and fail aloud where the gateway answers wrongly. No timing is judged."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import normalize, pages, serving
from benchmarks.__main__ import write
from benchmarks.growth import slope
from benchmarks.histories import history
from benchmarks.pairs import Report, Rounds, Spread, Target, turns

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def printed() -> str:
    """What one run of everything with a tiny budget prints; the peers are left out."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--no-peers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_every_part_prints_its_tables(printed: str) -> None:
    for heading in (
        "Normalizing: bytes to bytes",
        "A page of 100 events",
        "Bulk: all events of a window",
        "Providers that take 100 ms a call",
        "32 callers who ask the same",
        "Growth",
        "Start",
        "Targets",
    ):
        assert f"### {heading}\n" in printed


def test_targets_stand_beside_results(printed: str) -> None:
    rows = re.findall(
        r"^\| (\d) \| .* \| [≤≥] [\d.]+ \| [\d.,]+ \([\d.,]+\) \| (?:met|\*\*missed\*\*) \|$", printed, re.M
    )
    # What is set against the peers needs them; growth has no target but its figures.
    assert set(rows) == {"1", "2", "3", "4", "5", "7"}


def test_calls_to_the_providers_are_counted(printed: str) -> None:
    per_page = re.search(r"Upstream calls per page: ([\d.]+)", printed)
    assert per_page is not None
    assert 1 <= float(per_page[1]) < 2
    later_position = re.search(r"^\| a further page \|.* (\d+) \|$", printed, re.M)
    assert later_position is not None
    # 1,000 events in pages of 50, and what the contract allows beyond, in two categories.
    assert 20 <= int(later_position[1]) <= 24
    asked = re.search(r"not asked for yet: (\d+) by one caller, (\d+) by 32 at once", printed)
    assert asked is not None
    assert asked[1] == asked[2]


def test_without_peers_it_says_so(printed: str) -> None:
    assert "No peers" in printed


@pytest.fixture(scope="module")
def mock():  # type: ignore[no-untyped-def]
    with serving.mock(history("taktikal", 1_000).folder, history("subnoto", 1_000).folder) as found:
        yield found


@pytest.mark.parametrize("provider", ["taktikal", "subnoto"])
def test_the_mock_answers_as_the_gateway_needs_it(mock: serving.Server, provider: str) -> None:
    account = history(provider, 1_000)
    settings = {"taktikal": serving.taktikal_settings, "subnoto": serving.subnoto_settings}[provider](mock.url)
    with serving.gateway(settings) as gateway:
        # Raises where an event is missing or comes twice.
        assert len(pages.walk(gateway, account, 100, 1_000)) >= 9
        with pytest.raises(AssertionError, match="1000 of 1001 events"):
            pages.walk(gateway, replace(account, events=1_001), 100, 1_000)


def test_the_mock_refuses_what_nobody_should_ask(mock: serving.Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        mock.get("/api/signing/activity?StartDate=2026-05-01T00:00:00Z&EndDate=2026-06-01T00:00:00Z&Limit=5")
    refused.value.close()


def test_wrong_data_stops_a_benchmark() -> None:
    account = history("taktikal", 1_000)
    records = normalize._taktikal_records(normalize._taktikal_decode(normalize._answers(account)))
    normalize._check(account, records)
    with pytest.raises(AssertionError, match="999 events"):
        normalize._check(account, records[1:])
    with pytest.raises(AssertionError, match="1001 events, 1000 ids"):
        normalize._check(account, [*records, records[0]])


def test_ratios_are_taken_within_rounds() -> None:
    found = Rounds()
    for quick, slow in ((1.0, 2.0), (10.0, 40.0), (3.0, 9.0)):
        found.add("quick", quick)
        found.add("slow", slow)
    assert found.ratio("slow", "quick") == Spread(3.0, 2.0, 4.0)
    assert list(turns(["a", "b", "c"], 2)) == ["a", "b", "c", "b", "c", "a"]


def test_a_target_is_judged_by_the_median() -> None:
    assert Target("1", "", 1.5, Spread(1.5, 1.0, 2.0)).met
    assert not Target("1", "", 1.4, Spread(1.5, 1.0, 2.0)).met
    assert not Target("2", "", 1.6, Spread(1.5, 1.0, 2.0), at_least=True).met


def test_slopes_are_exponents() -> None:
    assert slope([1, 10, 100], [5, 5, 5]) == pytest.approx(0)
    assert slope([1, 10, 100], [2, 20, 200]) == pytest.approx(1)


def test_a_page_keeps_what_is_around_its_measured_section(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nAfter\n")
    write(page, [Report("New", ["text"])])
    text = page.read_text()
    assert text.startswith("# Before\n<!-- measured: begin -->\n")
    assert text.endswith("<!-- measured: end -->\nAfter\n")
    assert "### New" in text
    assert "old" not in text


def test_the_page_names_every_part() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for part in ("normalize", "pages", "bulk", "memory", "latency", "hot", "growth", "startup"):
        assert f"`{part}`" in page
