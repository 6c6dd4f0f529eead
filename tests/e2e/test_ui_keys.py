"""`/ui` when another API key is entered: nothing of what the last key brought stays, whoever the new key is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from app.api.api_keys import ApiKey, hash_of
from app.domain.caller import SCOPES
from sandbox.launcher import start_sandbox
from tests.e2e.browser import Watched, chromium_of_this_file, needs_chromium, opened, playwright
from tests.e2e.process import serving

pytestmark = needs_chromium

browser = chromium_of_this_file

RICH, POOR, NARROW = "sees-everything", "sees-one-source-masked", "sees-no-events"
KEYS = (
    ApiKey("rich", hash_of(RICH), frozenset(SCOPES)),
    ApiKey("poor", hash_of(POOR), frozenset({"events:read"}), sources=frozenset({"subnoto"})),
    ApiKey("narrow", hash_of(NARROW), frozenset({"metrics:read"})),
)
LOOK = "#last=90d"
REFUSED = "The gateway does not take this key."
FAILED = "Failed to load resource"  #: what chromium's console says to any answer of 400 or more
Json = dict[str, Any]


@dataclass(frozen=True)
class World:
    url: str
    rich: list[Json]  #: all events, newest first, as the key RICH sees them
    poor: list[Json]

    @property
    def secrets(self) -> set[str]:
        """Every name, address, phone and id that only the key RICH may see."""
        return told(self.rich) - told(self.poor)

    @property
    def envelope(self) -> str:
        """One that the key POOR may not see."""
        return str(next(event for event in self.rich if event["source"] == "taktikal")["envelope"]["id"])


def told(events: list[Json]) -> set[str]:
    """What `events` tell of people and envelopes."""
    parts = [event[part] or {} for event in events for part in ("actor", "recipient", "envelope")]
    return {part[name] for part in parts for name in ("id", "name", "email", "phone") if part.get(name)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with start_sandbox(events=150, days=10, seed=23) as sandbox:
        env = {**sandbox.env, "GATEWAY_API_KEYS": "\n".join(key.line() for key in KEYS)}
        with serving(cwd=tmp_path_factory.mktemp("ui-keys"), env=env) as gateway:
            rich, poor = (events_of(gateway.url, key) for key in (RICH, POOR))
            assert {event["source"] for event in rich} == {"subnoto", "taktikal"}
            assert {event["source"] for event in poor} == {"subnoto"}
            yield World(gateway.url, rich, poor)


def events_of(url: str, key: str) -> list[Json]:
    pairs = {"since": "2020-01-01", "limit": 1000}
    page = httpx.get(f"{url}/events", params=pairs, headers={"X-API-Key": key}, timeout=60).json()
    assert not page["page"]["has_more"]
    return list(page["data"])


@pytest.fixture
def rich(world: World, browser: playwright.Browser) -> Iterator[Watched]:
    """A page that has the key RICH and shows all it may see."""
    with opened(browser) as watched:
        page = watched.page
        page.goto(f"{world.url}/ui{LOOK}")
        page.get_by_label("Key", exact=True).fill(RICH)
        page.keyboard.press("Enter")
        wait_for_all(page)
        page.locator("#drawing .bin").first.wait_for()
        assert shown_ids(page) == ids(world.rich)
        assert left_of(page, world.secrets)
        yield watched
        watched.assert_quiet(world.url, expected=FAILED)


def ids(events: list[Json]) -> list[str]:
    return [event["id"] for event in events]


def shown_ids(page: playwright.Page) -> list[str]:
    return list(page.locator("#grid .row[data-id]").evaluate_all("rows => rows.map(row => row.dataset.id)"))


def wait_for_all(page: playwright.Page) -> None:
    page.locator("#count", has_text="all there are").wait_for()


def left_of(page: playwright.Page, secrets: set[str]) -> set[str]:
    """Which of the secrets are anywhere on the page, be it hidden, in an attribute or in a field."""
    everything = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one => [...one.attributes].map(({ value }) => value))"
        ".concat(document.documentElement.textContent, [...document.querySelectorAll('input')].map(one => one.value))"
        ".join('\\n')"
    )
    return {secret for secret in secrets if secret in everything}


def enter(page: playwright.Page, key: str) -> None:
    if not page.locator("dialog#key").is_visible():
        # Not by the mouse: the button lies behind any dialog that is open.
        page.locator("#key-button").dispatch_event("click")
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def assert_nothing_is_left(page: playwright.Page, secrets: set[str]) -> None:
    assert left_of(page, secrets) == set()
    assert shown_ids(page) == []
    assert page.locator("#drawing .bin, #timeline-rows tr, #story .step, #grid .day, datalist option").count() == 0
    parts = page.locator("#timeline, #look-tools, #story-tools, #load-more, #details")
    assert not parts.locator("visible=true").count()
    for place in ("#count", "#timeline-summary", "#details-body", "#story-body"):
        assert page.locator(place).text_content() == ""


def test_another_key_loads_the_list_anew(world: World, rich: Watched) -> None:
    page = rich.page
    page.locator(".what button").first.click()
    page.get_by_role("button", name="Close").click()
    held: list[playwright.Route] = []
    page.route(lambda url: urlsplit(url).path in ("/events", "/event-types"), lambda route: held.append(route))
    with page.expect_request(lambda request: urlsplit(request.url).path == "/events") as awaited:
        enter(page, POOR)
    # While the new key's answer is still to come, the old key's is gone already.
    assert awaited.value.headers["authorization"] == f"Bearer {POOR}"
    assert_nothing_is_left(page, world.secrets)
    for route in held:
        route.continue_()
    page.unroute_all()

    wait_for_all(page)
    page.locator("#drawing .bin").first.wait_for()
    assert shown_ids(page) == ids(world.poor)
    assert left_of(page, world.secrets) == set()
    assert set(page.locator("#timeline-rows td:nth-child(2)").all_text_contents()) == {"subnoto"}
    sources = page.locator("#source-suggestions option").evaluate_all("all => all.map(one => one.value)")
    assert sources == ["subnoto"]
    page.locator("#type-suggestions option").first.wait_for(state="attached")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all as NDJSON").locator("visible=true").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert [json.loads(line) for line in lines] == world.poor
    assert page.url == f"{world.url}/ui{LOOK}"


def test_a_late_answer_to_the_old_key_is_not_shown(world: World, rich: Watched) -> None:
    page = rich.page
    held: list[playwright.Route] = []
    page.route(lambda url: urlsplit(url).path == "/events", lambda route: held.append(route), times=1)
    with page.expect_request(lambda request: urlsplit(request.url).path == "/events"):
        page.get_by_role("button", name="Show", exact=True).click()
    enter(page, POOR)
    wait_for_all(page)
    (late,) = held
    assert late.request.headers["authorization"] == f"Bearer {RICH}"
    late.continue_()
    page.wait_for_load_state("networkidle")
    assert not page.locator("#loading").is_visible()
    assert shown_ids(page) == ids(world.poor)
    assert left_of(page, world.secrets) == set()


@pytest.mark.parametrize("view", ["list", "story", "details"])
def test_a_refused_key_is_said_and_shows_nothing(world: World, rich: Watched, view: str) -> None:
    page = rich.page
    if view == "details":
        page.locator(".what button").first.click()
        page.get_by_role("dialog").get_by_role("heading", name="Event").wait_for()
    elif view == "story":
        page.goto(f"{world.url}/ui#{urlencode({'envelope': world.envelope})}")
        page.locator(".step").first.wait_for()
    enter(page, "wrong")
    page.get_by_role("alert").filter(has_text=REFUSED).wait_for()
    secrets = world.secrets - {world.envelope}  # which the address itself names
    assert left_of(page, secrets) == set()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.locator("dialog#key").wait_for(state="hidden")
    assert not page.locator("dialog:visible").count()
    if view == "story":
        assert page.locator("#story-title").text_content() == world.envelope
        page.get_by_role("link", name="All events").click()
        page.get_by_role("alert").filter(has_text=REFUSED).wait_for()
        page.keyboard.press("Escape")
    assert_nothing_is_left(page, secrets)

    # A key that is taken, at last.
    enter(page, RICH)
    wait_for_all(page)
    assert shown_ids(page) == ids(world.rich)


def test_a_shared_look_waits_for_a_key_and_says_so(world: World, browser: playwright.Browser) -> None:
    with opened(browser) as watched:
        page = watched.page
        page.goto(f"{world.url}/ui")
        page.get_by_role("button", name="Cancel", exact=True).click()
        assert page.get_by_label("Period").input_value() == "30d"
        page.goto(f"{world.url}/ui#last=7d&type=recipient.signed")
        page.get_by_role("button", name="Cancel", exact=True).click()
        assert page.get_by_label("Period").input_value() == "7d"
        assert page.get_by_label("Type: chosen").locator("bdi").all_inner_texts() == ["recipient.signed"]
        page.get_by_role("heading", name="An API key is needed").wait_for()
        assert not page.get_by_role("button", name="Go on with the last good key").is_visible()

        # Without a key nothing is asked, and the filters stay.
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_role("button", name="Cancel", exact=True).click()
        assert page.url == f"{world.url}/ui#last=7d&type=recipient.signed"
        assert not [url for url in watched.requested if urlsplit(url).path in ("/events", "/event-types")]

        page.get_by_role("button", name="Enter a key").click()
        enter(page, "wrong")
        page.get_by_role("alert").filter(has_text=REFUSED).wait_for()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Enter a key").click()
        enter(page, RICH)
        wait_for_all(page)
        assert not page.locator("#key-notice").is_visible()
        watched.assert_quiet(world.url, expected=FAILED)


def test_a_wrong_key_does_not_replace_a_good_one(world: World, rich: Watched) -> None:
    page = rich.page
    kept = "sessionStorage.getItem('audit-gateway-key')"
    enter(page, "wrong")
    page.get_by_role("alert").filter(has_text=REFUSED).wait_for()
    assert page.evaluate(kept) == RICH
    page.get_by_role("button", name="Cancel", exact=True).click()
    assert_nothing_is_left(page, world.secrets)
    page.get_by_role("button", name="Go on with the last good key").click()
    wait_for_all(page)
    assert shown_ids(page) == ids(world.rich)
    enter(page, POOR)
    wait_for_all(page)
    assert page.evaluate(kept) == POOR


def test_a_key_without_the_scope_is_told_so_and_shows_nothing(world: World, rich: Watched) -> None:
    page = rich.page
    enter(page, NARROW)
    page.get_by_role("alert").filter(has_text="needs the scope events:read").wait_for()
    assert left_of(page, world.secrets) == set()
    assert shown_ids(page) == []
    assert not page.locator("#timeline").is_visible()


def test_another_key_in_a_story_reads_the_story_and_the_list_behind_it_anew(world: World, rich: Watched) -> None:
    page = rich.page
    page.locator(f"#grid a[href*='{world.envelope}']").first.click()
    page.locator(".step").first.wait_for()
    enter(page, POOR)
    page.get_by_role("alert").filter(has_text="taktikal").wait_for()  # the story's address names the source
    assert page.locator(".step").count() == 0
    assert left_of(page, world.secrets - {world.envelope}) == set()
    page.get_by_role("link", name="All events").click()
    wait_for_all(page)
    assert page.url == f"{world.url}/ui{LOOK}"
    assert shown_ids(page) == ids(world.poor)


def test_details_opened_by_mouse_give_the_focus_back_to_the_row(rich: Watched) -> None:
    page = rich.page
    dialog = page.get_by_role("dialog")
    ways = (
        (".when", lambda: dialog.get_by_role("button", name="Close").click()),
        (".when", lambda: page.keyboard.press("Escape")),
        (".when", lambda: page.mouse.click(5, 5)),  # beside the dialog
        (".what button", lambda: page.mouse.click(5, 5)),
    )
    for number, (part, close) in enumerate(ways, start=2):
        row = page.locator(".row[data-id]").nth(number)
        row.locator(part).click()
        dialog.wait_for()
        close()
        dialog.wait_for(state="hidden")
        assert row.locator("button").evaluate("one => one === document.activeElement")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.row').dataset.id") == shown_ids(page)[len(ways) + 2]


def test_a_lanes_name_keeps_clear_of_the_tallest_bar(rich: Watched) -> None:
    """Wherever that bar stands: at the left edge it is right under the name."""
    page = rich.page
    lanes = page.evaluate(
        """() => [...document.querySelectorAll('text.lane')].map(name => {
          const bars = [...document.querySelectorAll(`[data-key^="${name.textContent}/"] .segment`)];
          const below = name.getBBox().y + name.getBBox().height;
          return Math.min(...bars.map(bar => bar.getBBox().y)) - below;
        })"""
    )
    assert len(lanes) == 2
    assert min(lanes) >= 4  # px
