"""`/ui` in a real browser, in front of the real command: what is shown is what the API says, and all of it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from app.api.api_keys import ApiKey, hash_of
from app.domain.caller import SCOPES
from sandbox.launcher import Sandbox, start_sandbox
from tests.e2e.browser import Watched, chromium, needs_chromium, opened, playwright
from tests.e2e.process import serving

pytestmark = needs_chromium

KEY = "key-of-all-scopes"
KEYS = (
    ApiKey("all", hash_of(KEY), frozenset(SCOPES)),
    ApiKey("reader", hash_of("reader"), frozenset({"events:read"})),
    ApiKey("nothing", hash_of("nothing"), frozenset({"metrics:read"})),
    ApiKey("slow", hash_of("slow"), frozenset(SCOPES), rate="3/minute"),
)
EVENTS = 900
FAILED = "Failed to load resource"  #: what chromium's console says to any answer of 400 or more
Json = dict[str, Any]


@dataclass(frozen=True)
class World:
    url: str
    sandbox: Sandbox
    browser: playwright.Browser

    def get(self, path: str, pairs: list[tuple[str, Any]], key: str = KEY) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{self.url}/{path}", params=pairs, headers=headers, timeout=60)

    def walk(self, pairs: list[tuple[str, Any]]) -> list[Json]:
        """All pages, in pages of another size than the page's own."""
        events: list[Json] = []
        asked = [*pairs, ("limit", 333)]
        while True:
            page = self.get("events", asked).json()
            events += page["data"]
            if page["page"]["next_cursor"] is None:
                return events
            asked = [("cursor", page["page"]["next_cursor"]), ("limit", 333)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with start_sandbox(events=EVENTS, days=20, seed=11) as sandbox:
        env = {**sandbox.env, "GATEWAY_API_KEYS": "\n".join(key.line() for key in KEYS)}
        with serving(cwd=tmp_path_factory.mktemp("ui"), env=env) as gateway, chromium() as browser:
            yield World(gateway.url, sandbox, browser)


@contextmanager
def opened_with(world: World, key: str = KEY, **given: Any) -> Iterator[Watched]:
    """A page that has the key already."""
    with opened(world.browser, **given) as watched:
        watched.page.add_init_script(f"sessionStorage.setItem('audit-gateway-key', '{key}')")
        yield watched


@pytest.fixture
def looking(world: World) -> Iterator[Watched]:
    """The same, and it must stay quiet."""
    with opened_with(world, permissions=["clipboard-read", "clipboard-write"]) as watched:
        yield watched
        watched.assert_quiet(world.url)


def look(watched: Watched, world: World, fragment: str = "") -> Json:
    """Opens the page and waits for its first answer, which is returned."""
    with watched.page.expect_response(lambda answer: urlsplit(answer.url).path == "/events") as awaited:
        watched.page.goto(f"{world.url}/ui{fragment}")
    watched.page.locator("#loading").wait_for(state="hidden")
    return dict(awaited.value.json())


def scroll_to_the_end(page: playwright.Page) -> None:
    for _ in range(200):
        if "all there are" in page.locator("#count").inner_text():
            return
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(20)
    raise AssertionError("no end")


def shown_ids(page: playwright.Page) -> list[str]:
    return list(page.locator("#grid .row[data-id]").evaluate_all("rows => rows.map(row => row.dataset.id)"))


def test_the_key_is_asked_for_and_kept_for_the_tab_alone(world: World) -> None:
    with opened(world.browser) as watched:
        page = watched.page
        page.goto(f"{world.url}/ui")
        dialog = page.get_by_role("dialog", name="API key")
        dialog.get_by_label("Key").fill("wrong")
        dialog.get_by_role("button", name="Use this key").click()
        page.get_by_role("alert").filter(has_text="does not take this key").wait_for()
        dialog.get_by_label("Key").fill("nothing")
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="needs the scope events:read").wait_for()
        page.get_by_role("button", name="Use another key").click()
        dialog.get_by_label("Key").fill(KEY)
        page.keyboard.press("Enter")
        page.locator(".row[data-id]").first.wait_for()
        assert page.locator("[role=alert]:visible").count() == 0
        page.reload()
        page.locator(".row[data-id]").first.wait_for()
        assert page.evaluate("[...Object.values(sessionStorage)]") == [KEY]
        assert page.evaluate("localStorage.length") == 0
        assert page.evaluate("document.cookie") == ""
        assert not [url for url in [page.url, *watched.requested] if KEY in url]
        watched.assert_quiet(world.url, expected=FAILED)


def test_every_event_once_by_scrolling(world: World, looking: Watched) -> None:
    first = look(looking, world, "#last=90d")
    page = looking.page
    assert first["page"]["has_more"]
    scroll_to_the_end(page)
    expected = world.walk([*first["window"].items()])
    assert shown_ids(page) == [event["id"] for event in expected]
    assert len(expected) > 4 * first["page"]["limit"] * 0.9

    # The timeline counts the same events: its table, and its bars.
    page.get_by_text("The same as a table").click()
    counts = page.locator("#timeline-rows td:nth-child(3)").all_inner_texts()
    assert sum(map(int, counts)) == len(expected)
    assert page.locator("#drawing .bin").count() == len(counts)
    assert {"taktikal", "subnoto"} == set(page.locator("#timeline-rows td:nth-child(2)").all_inner_texts())

    # A bar leads to its events.
    bar = page.locator("#drawing .bin").nth(len(counts) // 3)
    bar.hover()
    told = bar.get_attribute("aria-label") or ""
    assert page.locator("#tip").inner_text().splitlines()[0] in told
    bar.click()
    marked = page.locator(".row.marked")
    assert f": {marked.count()} event" in told
    assert page.evaluate("document.activeElement.closest('.row').classList.contains('marked')")
    playwright.expect(marked.first).to_be_in_viewport()
    _compare_files(world, page, first["window"], expected)


def _compare_files(world: World, page: playwright.Page, window: Json, expected: list[Json]) -> None:
    """What is downloaded is what is shown, and as `GET /events/export` would have written it."""
    lines = _downloaded(page, "Download all as NDJSON").decode().splitlines()
    assert [json.loads(line) for line in lines] == expected
    exported = world.get("events/export", [*window.items(), ("format", "csv")])
    assert _rows(_downloaded(page, "Download all as CSV")) == _rows(exported.content)


def test_a_part_is_called_a_part_and_all_of_it_can_be_downloaded(world: World, looking: Watched) -> None:
    first = look(looking, world, "#last=90d")
    page = looking.page
    title = page.locator("#timeline-title")
    assert title.inner_text() == "Timeline of the 200 loaded, not of all"
    with page.expect_download() as awaited:
        page.get_by_role("button", name="Download these 200 as CSV").click()
    assert awaited.value.suggested_filename.startswith("audit-trail-part-200-events-20")
    assert len(_rows(Path(awaited.value.path()).read_bytes())) == 201
    page.get_by_role("button", name="Copy as curl").locator("visible=true").click()
    page.locator("#command-said", has_text="It gives the first 200.").wait_for()
    page.get_by_role("button", name="Close").click()

    expected = world.walk([*first["window"].items()])
    with page.expect_download() as awaited:
        page.get_by_role("button", name="Download all as NDJSON").click()
    name = awaited.value.suggested_filename
    assert name.startswith("audit-trail-20")
    assert [json.loads(line) for line in Path(awaited.value.path()).read_text().splitlines()] == expected
    page.locator(
        "#exports", has_text=f"Saved as {name}: {len(expected)} events, all that the filters select."
    ).wait_for()
    exported = world.get("events/export", [*first["window"].items(), ("format", "csv")])
    assert _rows(_downloaded(page, "Download all as CSV")) == _rows(exported.content)

    scroll_to_the_end(page)
    assert title.inner_text() == "Timeline"
    assert not page.get_by_role("button", name="Download these").count()


def test_an_export_that_breaks_off_says_so_and_goes_on(world: World, looking: Watched) -> None:
    first = look(looking, world, "#last=90d")
    page = looking.page
    expected = world.walk([*first["window"].items()])
    exports = lambda url: urlsplit(url).path == "/events/export"  # noqa: E731
    ends = ["", '{"cursor":"x","complete":false,"reason":"deadline"}\n']

    def cut(route: playwright.Route) -> None:
        """Lets 100 more events through, and half of the next; or the end that the gateway would have written."""
        end = ends.pop(0)
        answer = route.fetch()
        some = answer.text().splitlines(keepends=True)[:101]
        some[100] = end or some[100][:50]
        route.fulfill(response=answer, body="".join(some))

    page.route(exports, cut, times=2)
    page.get_by_role("button", name="Download all as CSV").click()
    told = page.get_by_role("alert")
    told.filter(has_text="broken off after 100 events: the connection was cut").wait_for()
    told.get_by_role("button", name="Go on").click()
    told.filter(has_text="broken off after 200 events: it took longer than the gateway allows").wait_for()
    with page.expect_download() as awaited:
        told.get_by_role("button", name="Save these 200").click()
    assert awaited.value.suggested_filename.startswith("audit-trail-part-200-events-20")
    exported = _rows(world.get("events/export", [*first["window"].items(), ("format", "csv")]).content)
    assert _rows(Path(awaited.value.path()).read_bytes()) == exported[:201]
    assert _rows(_downloaded(page, "Go on")) == exported
    asked = [parse_qsl(urlsplit(url).query) for url in looking.requested if exports(url)]
    assert [dict(pairs).get("after") for pairs in asked] == [None, expected[99]["id"], expected[199]["id"]]


def test_an_export_can_be_stopped_and_another_key_stops_it(world: World, looking: Watched) -> None:
    look(looking, world, "#last=90d")
    page = looking.page
    held: list[playwright.Route] = []
    page.route(lambda url: urlsplit(url).path == "/events/export", lambda route: held.append(route))
    page.get_by_role("button", name="Download all as NDJSON").click()
    page.locator("#exports", has_text="Downloading … 0 events so far").wait_for()
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped. Nothing was saved.").wait_for()
    page.locator("#exports").get_by_role("button", name="Close").click()
    assert page.locator("#exports").inner_text() == ""

    page.get_by_role("button", name="Download all as NDJSON").click()
    page.locator("#exports", has_text="so far").wait_for()
    page.get_by_role("button", name="API key").click()
    page.get_by_label("Key", exact=True).fill("reader")
    with page.expect_event("requestfailed"):
        page.keyboard.press("Enter")
    assert page.locator("#exports").inner_text() == ""


def _downloaded(page: playwright.Page, button: str) -> bytes:
    with page.expect_download() as awaited:
        page.get_by_role("button", name=button).locator("visible=true").click()
    return Path(awaited.value.path()).read_bytes()


def _rows(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode(), newline="")))


def test_an_envelope_has_its_name_in_every_row_once_any_loaded_event_names_it(world: World, looking: Watched) -> None:
    for order in ("asc", "desc"):
        look(looking, world, f"#last=90d&source=subnoto&order={order}")
        page = looking.page
        scroll_to_the_end(page)
        all_there_are = world.walk([("since", "2020-01-01")])
        events = {event["id"]: event["envelope"] for event in all_there_are if event["envelope"]}
        names = {envelope["id"]: envelope["name"] for envelope in events.values() if envelope["name"]}
        rows = "rows => rows.map(row => [row.dataset.id, row.querySelector('.envelope').textContent])"
        shown = dict(page.locator("#grid .row[data-id]").evaluate_all(rows))
        told = {identity: text for identity, text in shown.items() if identity in events}
        assert told == {one: names.get(events[one]["id"], events[one]["id"]) for one in told}
        assert [one for one in told if not events[one]["name"] and events[one]["id"] in names]


def test_filters_are_asked_and_can_be_shared(world: World, looking: Watched) -> None:
    look(looking, world)
    page = looking.page
    offered = page.locator("#type-suggestions option").evaluate_all("all => all.map(one => one.value)")
    assert {"recipient.*", "recipient.signed", "notification.failed"} <= set(offered)
    page.get_by_label("Period").select_option("Last 90 days")
    page.get_by_label("Type", exact=True).press_sequentially("recipient.signed,envelope.completed")
    page.get_by_text("More filters").click()
    page.get_by_label("Order").select_option("oldest first")
    page.get_by_label("Provider", exact=True).fill("taktikal")
    with page.expect_response(lambda answer: "/events?" in answer.url) as awaited:
        page.get_by_role("button", name="Show", exact=True).click()
    asked = parse_qsl(urlsplit(awaited.value.url).query)
    assert [pair for pair in asked if pair[0] != "since"] == [
        ("type", "recipient.signed"), ("type", "envelope.completed"), ("provider", "taktikal"), ("order", "asc"),
        ("limit", "200"),
    ]  # fmt: skip
    page.locator("#count", has_text="all there are").wait_for()
    expected = world.walk([*awaited.value.json()["window"].items(), *asked[1:-1]])
    assert 0 < len(expected) <= 200
    assert shown_ids(page) == [event["id"] for event in expected]
    shared = page.url
    assert parse_qsl(urlsplit(shared).fragment)[0] == ("last", "90d")

    # The address shows the same elsewhere, and what the form says is what was asked.
    with opened_with(world) as other:
        other.page.goto(shared)
        other.page.locator(".row[data-id]").first.wait_for()
        assert shown_ids(other.page) == [event["id"] for event in expected]
        assert other.page.get_by_label("Type: chosen").locator("bdi").all_inner_texts() == [
            "recipient.signed", "envelope.completed",
        ]  # fmt: skip
        other.assert_quiet(world.url)


def test_what_an_address_asks_for_in_vain_is_said(world: World, looking: Watched) -> None:
    page = looking.page
    page.goto(f"{world.url}/ui#type_=recipient.signed&sourc=taktikal&sourc=b&last=fortnight&order=asc")
    page.locator(".row[data-id]").first.wait_for()
    notice = page.locator("#address-notice")
    assert notice.inner_text() == "Not understood in this address, and left out: type_, sourc, last=fortnight."
    assert "Not understood" in page.locator("#look").aria_snapshot()
    page.goto(f"{world.url}/ui#{urlencode({'<b>': '', 'type': 'recipient.signed'})}")
    notice.get_by_text("left out: <b>.").wait_for()
    # All that the page itself puts into addresses is understood.
    page.get_by_label("Period").select_option("Since ever")
    page.get_by_role("button", name="Show", exact=True).click()
    page.locator("#count", has_text="all there are").wait_for()
    assert not notice.is_visible()


def test_a_mistake_is_shown_at_its_field(world: World) -> None:
    with opened_with(world) as watched:
        page = watched.page
        look(watched, world)
        page.get_by_label("Type", exact=True).fill("a*b")
        page.get_by_role("button", name="Show", exact=True).click()
        remedy = world.get("events", [("type", "a*b")]).json()["errors"][0]["message"]
        page.get_by_text(remedy[1:]).first.wait_for()
        field = page.get_by_label("Type", exact=True)
        assert field.get_attribute("aria-invalid") == "true"
        assert page.evaluate("document.activeElement.id") == "f-type"
        described = page.locator(f"#{field.get_attribute('aria-describedby')}")
        assert described.inner_text().lower() == f"{remedy}.".lower()

        page.get_by_role("button", name="Clear").click()
        page.locator(".row[data-id]").first.wait_for()
        assert not described.is_visible()
        page.get_by_label("Period").select_option("From … to …")
        page.get_by_label("From", exact=True).fill("2026-05-02T00:00")
        page.get_by_label("To (not included)").fill("2026-05-01T00:00")
        page.get_by_role("button", name="Show", exact=True).click()
        page.locator("#since-error", has_text="earlier than until").wait_for()

        # Who has a field to pick a time in need not know how addresses are written.
        page.goto(f"{world.url}/ui#since=soon&until=later")
        page.locator("#until-error", has_text="must be an RFC 3339 date-time").wait_for()
        assert "%2B" in world.get("events", [("since", "soon")]).text
        assert "%2B" not in page.locator("body").inner_text()
        watched.assert_quiet(world.url, expected=FAILED)


def test_copied_curl_gives_the_same_events(world: World, looking: Watched, tmp_path: Path) -> None:
    page = looking.page
    odd = 'O\'Brien "$(touch pwned)" `touch pwned` \\ & ;#+%41 é ☃ 🎉'
    for filters in ([("type", "recipient.*"), ("order", "asc")], [("q", odd), ("last", "90d")]):
        look(looking, world, f"#{urlencode(filters)}")
        shown = shown_ids(page)
        page.get_by_role("button", name="Copy as curl").locator("visible=true").click()
        command = page.locator("#command-text").inner_text()
        page.locator("#command-said", has_text="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == command
        assert KEY not in command
        ran = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            env={"GATEWAY_KEY": KEY, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert [event["id"] for event in json.loads(ran.stdout)["data"]] == shown
        assert bool(shown) == (filters[0][0] == "type")
        page.get_by_role("button", name="Close").click()
    assert list(tmp_path.iterdir()) == []


def test_details_and_the_raw_record_on_demand(world: World, looking: Watched) -> None:
    event = look(looking, world, "#type=recipient.signed")["data"][0]
    page = looking.page
    page.locator(f"[data-id='{event['id']}'] .what button").click()
    dialog = page.get_by_role("dialog", name="Recipient signed")
    for value in (event["id"], event["provider_type"], event["envelope"]["id"], event["recipient"]["name"]):
        assert dialog.get_by_text(value, exact=True).count()
    assert not [url for url in looking.requested if "include=raw" in url]
    dialog.get_by_role("button", name="Show the provider’s raw record").click()
    dialog.get_by_role("heading", name="raw").wait_for()
    raw = world.get(f"events/{event['id']}", [("include", "raw")]).json()["raw"]
    assert json.loads(dialog.locator(".raw pre").inner_text()) == raw
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.closest('.row').dataset.id") == event["id"]


def test_a_key_without_raw_is_told_so(world: World) -> None:
    with opened_with(world, "reader") as watched:
        look(watched, world)
        watched.page.locator(".what button").first.click()
        watched.page.get_by_role("button", name="Show the provider’s raw record").click()
        watched.page.get_by_text("needs the scope raw:read").wait_for()
        watched.assert_quiet(world.url, expected=FAILED)


def test_too_many_requests_say_when_to_come_again(world: World) -> None:
    with opened_with(world, "slow") as watched:
        page = watched.page
        look(watched, world)
        for _ in range(3):
            page.get_by_role("button", name="Show", exact=True).click()
            page.locator("#loading").wait_for(state="hidden")
        notice = page.get_by_role("alert").filter(has_text="Too many requests")
        notice.get_by_text("The gateway asks for").wait_for()
        assert notice.get_by_role("button", name="Try again").is_visible()
        answer = world.get("events", [], key="slow")
        assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (429, True)
        watched.assert_quiet(world.url, expected=FAILED)


def test_a_failed_page_is_asked_for_again_from_the_same_cursor(world: World) -> None:
    with opened_with(world) as watched:
        page = watched.page
        first = look(watched, world)
        page.context.set_offline(True)
        # `click` scrolls first, which asks for more by itself and takes the button away.
        page.locator("#load-more").dispatch_event("click")
        notice = page.get_by_role("alert").filter(has_text="cannot be reached")
        notice.wait_for()
        assert shown_ids(page) == [event["id"] for event in first["data"]]
        page.context.set_offline(False)
        notice.get_by_role("button", name="Try again").click()
        scroll_to_the_end(page)
        assert shown_ids(page) == [event["id"] for event in world.walk([*first["window"].items()])]
        watched.assert_quiet(world.url, expected=FAILED)


def test_a_source_that_fails_is_named(world: World) -> None:
    emulator: Any = world.sandbox.stand_ins["taktikal"]
    with opened_with(world) as watched:
        page = watched.page
        emulator.faults.answer(401, times=1)
        look(watched, world)
        notice = page.get_by_role("alert").filter(has_text="taktikal:")
        notice.wait_for()
        emulator.faults.answer(401, times=1)
        page.get_by_text("More filters").click()
        page.get_by_label("Show the rest when a source fails").check()
        page.get_by_role("button", name="Show", exact=True).click()
        page.get_by_role("status").filter(has_text="taktikal could not answer").wait_for()
        assert set(page.locator(".row[data-id] .source").all_text_contents()) == {"subnoto"}
        watched.assert_quiet(world.url, expected=FAILED)


def test_the_others_are_shown_when_a_source_fails(world: World) -> None:
    emulator: Any = world.sandbox.stand_ins["taktikal"]
    with opened_with(world) as watched:
        page = watched.page
        emulator.faults.answer(401, times=1)
        look(watched, world, "#last=7d&type=recipient.*")
        notice = page.get_by_role("alert").filter(has_text="taktikal:")
        assert notice.inner_text().count("taktikal") == 1
        emulator.faults.answer(401, times=1)
        notice.get_by_role("button", name="Show the others").click()
        page.get_by_role("status").filter(has_text="taktikal could not answer").wait_for()
        assert urlsplit(page.url).fragment == "last=7d&type=recipient.*&partial=true"
        assert set(page.locator(".row[data-id] .source").all_text_contents()) == {"subnoto"}
        with page.expect_download() as awaited:
            page.get_by_role("button", name="Download all but taktikal as NDJSON").click()
        assert awaited.value.suggested_filename.startswith("audit-trail-part-20")
        saved = [json.loads(line) for line in Path(awaited.value.path()).read_text().splitlines()]
        assert [event["id"] for event in saved] == shown_ids(page)
        page.locator("#exports", has_text="without taktikal, which could not answer").wait_for()

        # Where nobody else is asked, there are no others.
        emulator.faults.answer(401, times=1)
        look(watched, world, "#last=24h&source=taktikal")
        page.get_by_role("alert").filter(has_text="taktikal:").wait_for()
        assert not page.get_by_role("button", name="Show the others").count()

        # The same in a story.
        mine = world.walk([("source", "subnoto"), ("type", "envelope.created")])[0]["envelope"]["id"]
        emulator.faults.answer(401, times=1)
        page.goto(f"{world.url}/ui#{urlencode({'envelope': mine})}")
        page.get_by_role("alert").filter(has_text="taktikal:").wait_for()
        emulator.faults.answer(401, times=1)
        page.get_by_role("button", name="Show the others").click()
        page.locator("#story").get_by_text("taktikal could not answer, and its events are missing").wait_for()
        assert page.locator(".step").count()
        watched.assert_quiet(world.url, expected=FAILED)


def seconds_of(event: Json) -> float:
    return datetime.fromisoformat(event["occurred_at"]).timestamp()


def human(seconds: float) -> str:
    """The two largest units, cut off."""
    if 0 < seconds < 1:
        return "under 1 s"
    rest = int(seconds + 1e-6)
    parts = []
    for one, size, many in (("day", 86_400, "days"), ("h", 3_600, "h"), ("min", 60, "min"), ("s", 1, "s")):
        count, rest = divmod(rest, size)
        parts.append((count, one if count == 1 else many))
    first = next((place for place, (count, _) in enumerate(parts) if count), 3)
    told = [f"{count} {unit}" for count, unit in parts[first : first + 2] if count]
    return " ".join(told) or "0 s"


def find_envelope(world: World, *types: str) -> str:
    """An envelope that has events of all these types."""
    found = [
        {event["envelope"]["id"] for event in world.walk([("since", "2020-01-01"), ("type", one)])} for one in types
    ]
    return min(set.intersection(*found))


def test_the_story_of_an_envelope(world: World, looking: Watched) -> None:
    types = ("envelope.created", "recipient.reminded", "notification.failed", "envelope.completed")
    envelope = find_envelope(world, *types)
    expected = world.walk([("envelope_id", envelope), ("order", "asc")])
    page = looking.page
    page.goto(f"{world.url}/ui#{urlencode({'envelope': envelope})}")
    page.locator(".step").first.wait_for()
    assert page.locator("#story-title").inner_text() == expected[0]["envelope"]["name"]
    assert page.locator("#story .status").inner_text() == "Completed"

    steps = page.locator(".step")
    assert steps.evaluate_all("all => all.map(one => one.dataset.id)") == [event["id"] for event in expected]
    start = seconds_of(expected[0])
    for before, event, step in zip(expected, expected[1:], steps.all()[1:], strict=False):
        for place, since in (("since-before", seconds_of(before)), ("since-start", start)):
            told = step.locator(f".{place} time")
            took = seconds_of(event) - since
            assert float((told.get_attribute("datetime") or "")[2:-1]) == pytest.approx(took, abs=2e-6)
            assert told.inner_text() == human(round(took, 6))
    completed = next(event for event in expected if event["type"] == "envelope.completed")
    lead = page.locator("#story .lead").inner_text()
    assert f"completed after {human(round(seconds_of(completed) - start, 6))}" in lead
    failures = sum(event["type"] == "notification.failed" for event in expected)
    assert f"{failures} message{'s' if failures > 1 else ''} could not be delivered." in lead

    # Everybody who signed is said to have, with the time of it.
    signed = {event["recipient"]["id"]: event for event in expected if event["type"] == "recipient.signed"}
    rows = page.locator(".recipients tbody tr")
    assert rows.count() == len({event["recipient"]["id"] for event in expected if event["recipient"]})
    for event in signed.values():
        row = rows.filter(has_text=event["recipient"]["name"])
        assert row.locator(".state").inner_text() == "Signed"
        assert row.locator(f"time[datetime='{event['occurred_at']}']").count()
        sentence = page.locator(f".step[data-id='{event['id']}'] .said")
        assert sentence.inner_text() == f"{event['recipient']['name']} signed."
    for event in (event for event in expected if event["type"] in ("notification.failed", "recipient.reminded")):
        assert "trouble" in (page.locator(f".step[data-id='{event['id']}']").get_attribute("class") or "")
    lines = _downloaded(page, "Download all as NDJSON").decode().splitlines()
    assert [json.loads(line) for line in lines] == expected
    zone = page.locator("#story").get_by_text("Times in Asia/Calcutta (GMT+05:30)", exact=True)
    assert zone.is_visible()
    page.emulate_media(media="print")
    assert not page.get_by_role("button").locator("visible=true").count()
    assert page.locator(".step").first.is_visible()
    assert zone.is_visible(), "on paper nobody can ask the browser for its zone"


def test_an_end_that_is_no_success_and_an_envelope_that_nobody_knows(world: World, looking: Watched) -> None:
    page = looking.page
    envelope = find_envelope(world, "envelope.sent", "envelope.declined")
    expected = world.walk([("envelope_id", envelope), ("order", "asc")])
    look(looking, world)
    page.get_by_label("Envelope", exact=True).fill(envelope)
    page.keyboard.press("Enter")
    page.locator(".step").first.wait_for()
    assert page.locator("#story .status").inner_text() == "Declined"
    assert page.locator(".recipients .state", has_text="Declined").count() == 1
    named = next(event for event in expected if event["type"] == "envelope.sent")["data"]["recipients"]
    assert page.locator(".recipients tbody tr").count() == len(named)
    page.get_by_label("Envelope", exact=True).fill("nobody-knows-this")
    page.keyboard.press("Enter")
    page.get_by_text("No source knows an envelope with this id").wait_for()
