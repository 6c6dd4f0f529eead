"""`/ui` for everybody: by keyboard, by screen reader, in the dark, on a phone; and nobody's data is more than text."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sandbox.subnoto as subnoto_emulator
import sandbox.taktikal as taktikal_emulator
from sandbox.serving import serve
from tests.e2e.browser import Watched, chromium_of_this_file, needs_chromium, opened, playwright
from tests.e2e.faulty import Rewritten
from tests.e2e.process import serving

pytestmark = needs_chromium

browser = chromium_of_this_file

IMAGES = Path(__file__).parents[2] / "docs" / "images"
HOSTILE = (
    '<img src="https://evil.example/x" onerror="window.hit=1"><script>window.hit=1</script>',
    '"><svg onload=window.hit=1>',
    '=HYPERLINK("https://evil.example";"you")',
    "javascript:window.hit=1",
    "אבג דהו \u202eevil",
    "👩‍👩‍👧‍👦 " + "long" * 80,
)
PERSONAL = re.compile(r"name|title|mail|reason|description", re.IGNORECASE)


@pytest.fixture(scope="module")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("--sandbox", "--sandbox-events", "1500", cwd=tmp_path_factory.mktemp("ui")) as gateway:
        yield gateway.url


def loaded(watched: Watched, address: str) -> playwright.Page:
    watched.page.goto(address)
    watched.page.locator(".row[data-id], .step").first.wait_for()
    return watched.page


class Spoiler:
    """Puts hostile text into every name, e-mail address and description that a provider sends."""

    def __init__(self) -> None:
        self.sent: set[str] = set()

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        spoiled = {name: self._of(name, inner) for name, inner in value.items()}
        if "eventData" in spoiled:
            spoiled["eventData"] = {**spoiled["eventData"], HOSTILE[0]: {HOSTILE[1]: HOSTILE[2]}}
            if spoiled["eventType"] == "ENVELOPE_OPENED":
                spoiled["eventType"] = f"NEW_{HOSTILE[1]}"
        return spoiled

    def _of(self, name: str, value: Any) -> Any:
        if not isinstance(value, str) or not PERSONAL.search(name):
            return self(value)
        text = f"{HOSTILE[len(value) % len(HOSTILE)]} {value}"
        self.sent.add(text)
        return text


@pytest.fixture(scope="module")
def hostile_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    subnoto = subnoto_emulator.make_sandbox(events=60, seed=3, days=10, clock=None)
    taktikal = taktikal_emulator.make_sandbox(events=60, seed=3, days=10, clock=None)
    env = {"GATEWAY_AUTH": "off"}
    with serve(Rewritten(subnoto.app, Spoiler())) as one, serve(Rewritten(taktikal.app, Spoiler())) as other:
        env |= {**subnoto.env(one), **taktikal.env(other)}
        with serving(cwd=tmp_path_factory.mktemp("hostile"), env=env) as gateway:
            yield gateway.url


def test_what_providers_send_is_text(browser: playwright.Browser, hostile_url: str) -> None:
    """And without authentication, no key is asked for."""
    with opened(browser) as watched:
        page = loaded(watched, f"{hostile_url}/ui")
        assert not page.get_by_role("button", name="API key").is_visible()
        page.locator("#count", has_text="all there are").wait_for()
        shown = page.locator("#grid").inner_text()
        for text in HOSTILE[:4]:
            assert text in shown
        assert page.locator("main :is(img, script, iframe, object)").count() == 0
        page.locator(".row", has_text="Unknown: NEW_").first.locator("button").click()
        page.get_by_role("button", name="Show the provider’s raw record").click()
        page.get_by_role("heading", name="raw").wait_for()
        assert json.loads(page.locator(".raw pre").inner_text())["eventData"][HOSTILE[0]] == {HOSTILE[1]: HOSTILE[2]}
        page.keyboard.press("Escape")

        events = httpx.get(f"{hostile_url}/events?limit=1000&order=asc").json()["data"]
        unknown = next(event for event in events if event["type"] == "unknown")
        page.goto(f"{hostile_url}/ui#envelope={unknown['envelope']['id']}")
        page.locator(".step").first.wait_for()
        assert f"no name for yet: NEW_{HOSTILE[1]}" in page.locator("#story").inner_text()
        assert page.locator("main :is(img, script, iframe, object)").count() == 0

        # A spreadsheet that opens the file sees no formula, and the rows are those of the gateway's own export.
        page.goto(f"{hostile_url}/ui#last=90d")
        page.locator("#count", has_text="all there are").wait_for()
        with page.expect_download() as awaited:
            page.get_by_role("button", name="Download all as CSV").locator("visible=true").click()
        body = Path(awaited.value.path()).read_bytes()
        exported = httpx.get(f"{hostile_url}/events/export?format=csv&since=2020-01-01", timeout=60).content
        ours, theirs = (
            {row[0]: row for row in csv.reader(io.StringIO(text.decode(), newline=""))} for text in (body, exported)
        )
        assert len(ours) == len(events) + 1
        assert ours == {identity: theirs[identity] for identity in ours}
        cells = [cell for row in ours.values() for cell in row]
        assert [cell for cell in cells if cell.startswith("'=HYPERLINK")]
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
        assert page.evaluate("window.hit") is None
        watched.assert_quiet(hostile_url)


def test_the_browser_itself_refuses_html(browser: playwright.Browser, sandbox_url: str) -> None:
    with opened(browser) as watched:
        page = loaded(watched, f"{sandbox_url}/ui")
        with pytest.raises(playwright.Error, match="TrustedHTML"):
            page.evaluate("document.body.innerHTML = '<p>x</p>'")
        headers = httpx.get(f"{sandbox_url}/ui").headers
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "no-referrer"


def test_the_sandbox_key_is_filled_in(browser: playwright.Browser, sandbox_url: str) -> None:
    with opened(browser) as watched:
        page = loaded(watched, f"{sandbox_url}/ui")
        page.get_by_role("button", name="API key").click()
        assert page.get_by_label("Key", exact=True).input_value() == "sandbox"
        page.get_by_role("button", name="Cancel", exact=True).click()
        assert page.evaluate("document.activeElement.id") == "key-button"
        watched.assert_quiet(sandbox_url)


def test_by_keyboard_alone(browser: playwright.Browser, sandbox_url: str) -> None:
    with opened(browser) as watched:
        page = loaded(watched, f"{sandbox_url}/ui")
        press = page.keyboard.press

        def focused(script: str = "document.activeElement.id") -> Any:
            return page.evaluate(script)

        press("Tab")
        assert focused() == "skip"
        press("Enter")
        assert focused() == "list-title"

        # Into the grid, down three rows, over to the envelope and back.
        while focused("document.activeElement.closest('#grid') === null"):
            press("Tab")
        rows = page.locator(".row[data-id]").evaluate_all("all => all.map(one => one.dataset.id)")
        for _ in range(3):
            press("ArrowDown")
        assert focused("document.activeElement.closest('.row').dataset.id") == rows[3]
        press("End")
        assert focused("document.activeElement.closest('.row').dataset.id") == rows[-1]
        press("Home")
        assert focused("document.activeElement.closest('.row').dataset.id") == rows[0]
        assert focused("getComputedStyle(document.activeElement).outlineStyle") == "solid"

        # Details, and back to the row.
        press("Enter")
        page.get_by_role("dialog").wait_for()
        assert focused("document.activeElement.closest('dialog') !== null")
        press("Escape")
        assert focused("document.activeElement.closest('.row').dataset.id") == rows[0]

        # The story, and back to the same place in the list.
        while focused("document.activeElement.closest('.row').querySelector('a') === null"):
            press("ArrowDown")
        press("ArrowRight")
        left = focused("document.activeElement.closest('.row').dataset.id")
        press("Enter")
        page.locator(".step").first.wait_for()
        assert focused() == "story-title"
        page.go_back()
        page.locator("#look").wait_for()
        assert focused("document.activeElement.closest('.row').dataset.id") == left
        playwright.expect(page.locator(":focus")).to_be_in_viewport()

        # The timeline: Tab comes to one bar, arrows go on, Enter leads to its events.
        page.locator("#load-more").focus()
        while focused("document.activeElement.closest('#drawing') === null"):
            press("Shift+Tab")
        before = focused("document.activeElement.dataset.key")
        press("ArrowLeft")
        assert focused("document.activeElement.dataset.key") != before
        assert page.locator("#tip").is_visible()
        press("Enter")
        assert focused("document.activeElement.closest('.row.marked') !== null")
        watched.assert_quiet(sandbox_url)


def test_by_screen_reader(browser: playwright.Browser, sandbox_url: str) -> None:
    with opened(browser) as watched:
        page = loaded(watched, f"{sandbox_url}/ui")
        page.get_by_text("More filters").click()
        tree = page.locator("body").aria_snapshot()
        for line in (
            "- banner:", "- main:", '- search "Filters":', '- search "An envelope’s story":',
            '- navigation "Elsewhere":', '- combobox "Period":', '- combobox "Type"', '- textbox "Recipient"',
            '- checkbox "Show the rest when a source fails"', '- region "Timeline of the 200 loaded, not of all":',
            '- region "Events":', '- grid "Events":', '- columnheader "Envelope"', '- button "Load more"',
        ):  # fmt: skip
            assert line in tree, tree[:6000]
        assert re.search(r'button "(subnoto|taktikal), \w{3},? \d.*: \d+ events? \(', tree)
        nameless = page.evaluate(
            "[...document.querySelectorAll('main input, main select, header input')].filter(one => !one.labels.length)"
            ".map(one => one.outerHTML)"
        )
        assert nameless == []
        link = page.locator("#grid a").first
        link.click()
        page.locator(".step").first.wait_for()
        story = page.locator("main").aria_snapshot()
        for line in ("- article ", '- region "Recipients":', '- columnheader "Now"', '- heading "Step by step"'):
            assert line in story, story[:3000]
        watched.assert_quiet(sandbox_url)


CONTRAST = """() => {
  const light = channel => (channel /= 255) <= 0.03928 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const weights = [0.2126, 0.7152, 0.0722];
  const luminance = text => weights.reduce((sum, weight, i) => sum + light(numbers(text)[i]) * weight, 0);
  const ground = element => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (numbers(colour).length < 4 || numbers(colour)[3] === 1) return colour;
    }
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg")) continue;
    const [one, other] = [luminance(getComputedStyle(element).color), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) bad.push(`${element.outerHTML.slice(0, 80)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(browser: playwright.Browser, sandbox_url: str, scheme: str) -> None:
    with opened(browser, color_scheme=scheme) as watched:
        page = loaded(watched, f"{sandbox_url}/ui")
        is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert is_dark == (scheme == "dark")
        page.get_by_text("More filters").click()
        assert page.evaluate(CONTRAST) == []
        if scheme == "light":
            page.get_by_text("More filters").click()
            picture(page, "ui-trail.png")
        page.goto(f"{sandbox_url}/ui#envelope={eventful(sandbox_url)}")
        page.locator(".step").first.wait_for()
        assert page.evaluate(CONTRAST) == []
        if scheme == "light":
            picture(page, "ui-story.png")
        watched.assert_quiet(sandbox_url)


def test_on_a_phone(browser: playwright.Browser, sandbox_url: str, hostile_url: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    for address in (f"{sandbox_url}/ui", f"{sandbox_url}/ui#envelope={eventful(sandbox_url)}", f"{hostile_url}/ui"):
        with opened(browser, **phone) as watched:
            page = loaded(watched, address)
            assert page.evaluate("document.documentElement.scrollWidth") == 360
            watched.assert_quiet(address)


def test_what_does_not_fit_is_seen_to_go_on(browser: playwright.Browser, sandbox_url: str, hostile_url: str) -> None:
    with opened(browser, viewport={"width": 1000, "height": 900}) as watched:
        page = loaded(watched, f"{hostile_url}/ui")
        what = page.locator(".row", has_text="Unknown: NEW_").first.locator(".what button")
        assert what.evaluate("one => one.scrollWidth > one.clientWidth")
        assert what.evaluate("one => getComputedStyle(one).textOverflow") == "ellipsis"
        watched.assert_quiet(hostile_url)
    with opened(browser, viewport={"width": 400, "height": 900}) as watched:
        page = loaded(watched, f"{sandbox_url}/ui#envelope={eventful(sandbox_url)}")
        table = page.locator(".recipients .scroll")
        table.scroll_into_view_if_needed()
        box = table.bounding_box()
        assert box is not None

        def spot(x: float) -> bytes:
            """Some pixels above the table's words."""
            return page.screenshot(clip={"x": x, "y": box["y"] + 2, "width": 2, "height": 2})

        plain = spot(box["x"] + box["width"] / 2)
        assert (spot(box["x"]) == plain, spot(box["x"] + box["width"] - 2) == plain) == (True, False)
        table.evaluate("one => one.scrollLeft = one.scrollWidth")
        assert (spot(box["x"]) == plain, spot(box["x"] + box["width"] - 2) == plain) == (False, True)
        watched.assert_quiet(sandbox_url)


def eventful(url: str) -> str:
    """An envelope with a failed message, a reminder and a good end."""
    found = []
    for type_ in ("notification.failed", "recipient.reminded", "envelope.completed"):
        answer = httpx.get(
            f"{url}/events", params={"type": type_, "limit": 1000}, headers={"X-API-Key": "sandbox"}, timeout=60
        )
        found.append({event["envelope"]["id"] for event in answer.json()["data"]})
    return min(set.intersection(*found))


def picture(page: playwright.Page, name: str) -> None:
    """The pictures of the README, taken anew with UPDATE_SCREENSHOTS=1."""
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        page.screenshot(path=IMAGES / name)


def test_the_ways_in(sandbox_url: str) -> None:
    root = httpx.get(f"{sandbox_url}/")
    assert (root.status_code, root.headers["location"]) == (307, "docs")
    first = httpx.get(f"{sandbox_url}/ui")
    again = httpx.get(f"{sandbox_url}/ui", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert 'href="ui"' in httpx.get(f"{sandbox_url}/docs").text
    for missing in ("/ui/nothing.js", "/ui/index.html", "/ui/../main.py", "/ui/%2e%2e%2fmain.py"):
        answer = httpx.get(sandbox_url + missing)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
