"""`/ui`: API keys and identities, the page of an envelope, hostile text, accessibility and small screens."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser import needs_chromium, opened, playwright
from tests.ui.conftest import ALL, HOSTILE, NO_EVENTS, SUBNOTO_ONLY, World, fragment, is_path, rows, wait_for_rows

pytestmark = needs_chromium
expect = playwright.expect
FAILED = "Failed to load resource"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
IMAGES = Path(__file__).parents[2] / "docs" / "images"
SLOT = "audit-gateway-key"


def enter(page: playwright.Page, key: str) -> None:
    dialog = page.get_by_role("dialog", name="API key")
    dialog.get_by_label("Key").fill(key)
    page.keyboard.press("Enter")


def change_key(page: playwright.Page, key: str) -> None:
    page.locator("button[popovertarget=identity]").click()
    page.get_by_role("button", name="Use another API key").click()
    enter(page, key)


def everything_in(page: playwright.Page) -> str:
    """Return all text, attributes and field values of the page, also hidden ones."""
    script = (
        "[...document.querySelectorAll('*')]"
        ".flatMap(one => [one.value, ...[...one.attributes].map(({ value }) => value)])"
        ".concat(document.documentElement.textContent).join('\\n')"
    )
    return str(page.evaluate(script))


def test_a_key_is_entered_once_per_session_and_in_no_url(world: World) -> None:
    with opened(world.browser) as watched:
        page = watched.page
        page.goto(f"{world.url}/ui#type=recipient.*")
        page.get_by_text("forgotten when the last of these tabs is closed").wait_for()
        enter(page, "wrong")
        page.get_by_role("alert").filter(has_text="does not accept this key").wait_for()
        assert page.evaluate("sessionStorage.length") == 0
        enter(page, ALL)
        wait_for_rows(page)
        page.locator("button[popovertarget=identity]").click()
        identity = page.locator("#identity")
        assert "auditor" in page.inner_text("header")
        assert "pii:read" in identity.inner_text()

        tab = page.context.new_page()
        tab.goto(f"{world.url}/ui")
        wait_for_rows(tab)
        assert tab.evaluate("[Object.values(sessionStorage), Object.keys(localStorage), document.cookie]") == [
            [ALL], [], "",
        ]  # fmt: skip
        tab.locator("button[popovertarget=identity]").click()
        tab.get_by_role("button", name="Forget the key").click()
        for one in (page, tab):
            one.get_by_role("dialog", name="API key").wait_for()
            assert not rows(one)
            assert one.evaluate("sessionStorage.length") == 0
        assert not [url for url in [page.url, tab.url, *watched.requested] if ALL in url]
        watched.assert_quiet(world.url, expected=FAILED)


def test_another_key_removes_the_data_of_the_former(world: World) -> None:
    period = [("since", "2020-01-01")]
    seen = {event["id"]: event for event in world.walk([*period, ("source", "taktikal")])}
    secrets = {str(event["recipient"]["email"]) for event in seen.values() if event["recipient"]} | set(seen)
    with world.opened("#last=90d", expected=FAILED) as watched:
        page = wait_for_rows(watched.page)
        page.locator("tr", has_text="taktikal").first.locator("td.when").click()
        page.get_by_role("complementary").wait_for()
        assert any(secret in everything_in(page) for secret in secrets)
        requests: list[playwright.Route] = []
        page.route(is_path("/events"), lambda route: requests.append(route), times=1)
        page.get_by_role("button", name="Refresh").click()
        page.wait_for_timeout(50)
        change_key(page, SUBNOTO_ONLY)
        wait_for_rows(page)
        requests[0].continue_()  # a late response to the former key
        page.wait_for_load_state("networkidle")
        event = page.url.partition("event=")[2]
        assert not [secret for secret in secrets - {event} if secret in everything_in(page)]
        assert set(page.locator("td.source").all_inner_texts()) == {"subnoto"}

        change_key(page, "wrong")  # does not replace a valid key
        page.get_by_role("alert").filter(has_text="does not accept this key").wait_for()
        page.keyboard.press("Escape")
        assert page.evaluate(f"sessionStorage.getItem('{SLOT}')") == SUBNOTO_ONLY
        assert rows(page)
        change_key(page, NO_EVENTS)
        page.get_by_role("alert").filter(has_text="events:read").first.wait_for()
        assert not rows(page)


def test_behind_an_authenticating_proxy_no_key_is_requested(world: World) -> None:
    with opened(world.browser) as watched:
        page = watched.page
        proxied: dict[str, str] = {"authorization": f"Bearer {ALL}"}
        page.route(
            lambda url: "/ui" not in url, lambda route: route.continue_(headers={**route.request.headers, **proxied})
        )
        page.goto(f"{world.url}/ui")
        wait_for_rows(page)
        assert "auditor" in page.inner_text("header")
        assert not page.locator("dialog").count()
        proxied.clear()  # the proxy's session ends
        page.get_by_role("button", name="Refresh").click()
        page.get_by_role("dialog", name="API key").wait_for()
        assert not rows(page)
        page.route(is_path("/me"), lambda route: route.fulfill(status=401, body="<html>Sign in</html>"))
        page.reload()
        page.get_by_role("alert").filter(has_text="Your session has ended").wait_for()
        assert not page.locator("dialog").count()


def test_the_page_of_an_envelope(world: World) -> None:
    envelope = world.envelope("recipient.reminded", "notification.failed", "envelope.completed")
    found = world.get(f"envelopes/{envelope}").json()
    with world.opened(fragment([("envelope", envelope)]), expected=FAILED) as watched:
        page = watched.page
        page.get_by_role("heading", name=found["envelope"]["name"]).wait_for()
        assert page.locator(".steps tbody tr").count() == len(found["events"])
        body = page.inner_text("article")
        texts = [one[name] for one in found["recipients"] for name in ("name", "email", "signature_type") if one[name]]
        assert [text for text in texts if text not in body] == []
        assert envelope in body
        # The duration ends with the envelope, not with a later message, as in its report.
        shown = page.locator(".facts div", has_text="Duration").locator("dd").inner_text()
        assert shown == page.evaluate(
            f"import('./ui/times.js').then((t) => t.durationOf({found['durations']['total']}))"
        )
        for event in found["events"]:
            assert event["occurred_at"].replace("T", " ").removesuffix("Z") in body
        with page.expect_download() as awaited:
            page.get_by_role("button", name="Save report").click()
        assert envelope in Path(awaited.value.path()).read_text()
        page.evaluate("() => { window.print = () => { window.printed = 1 } }")
        page.get_by_role("button", name="Print report").click()
        page.locator("iframe#report").wait_for(state="attached")
        inside = page.frame_locator("iframe#report")
        expect(inside.locator("body")).to_contain_text(envelope)

        page.locator(".steps tbody button").last.click()
        page.get_by_role("complementary").get_by_text(found["events"][-1]["id"], exact=True).wait_for()
        page.get_by_role("link", name="All events").click()
        wait_for_rows(page)
        page.get_by_role("combobox", name="Add a filter").fill("nobody-knows-this")
        page.get_by_role("option", name="Open the page of envelope").click()
        page.get_by_role("heading", name="No such envelope").wait_for()


def test_text_of_providers_is_never_html(world: World, hostile: str) -> None:
    with opened(world.browser) as watched:
        page = watched.page
        page.goto(f"{hostile}/ui")
        wait_for_rows(page)
        assert not page.locator("dialog").count()  # no authentication, no key
        events = httpx.get(f"{hostile}/events?limit=1000").json()["data"]
        assert all(text in page.inner_text(".events") for text in HOSTILE[:4])
        page.locator("tr", has_text="Unknown: NEW_").first.locator("td.when").click()
        page.get_by_role("button", name="Show raw record").click()
        page.get_by_role("complementary").locator("pre", has_text="NEW_").wait_for()
        assert page.locator("main :is(img, script, iframe, object)").count() == 0
        for event in [event for event in events if event["envelope"]][:3]:
            page.goto(f"{hostile}/ui{fragment([('envelope', event['envelope']['id'])])}")
            page.locator(".steps tbody tr").first.wait_for()
            assert page.locator("main :is(img, script, iframe, object)").count() == 0
        assert page.evaluate("window.hit") is None
        watched.assert_quiet(hostile, expected=FAILED)


READ_STREAM = """
url => new Promise((resolve, reject) => {
  const received = [], source = new EventSource(url);
  source.onmessage = message => {
    received.push({id: message.lastEventId, event: JSON.parse(message.data)});
    if (received.length === 110) { source.close(); resolve(received); }
  };
  source.onerror = () => reject(new Error("the browser gave up"));
})
"""


def test_an_event_source_of_a_browser_reads_the_stream(world: World, hostile: str) -> None:
    with opened(world.browser) as watched:
        watched.page.goto(f"{hostile}/health/live")
        received = watched.page.evaluate(READ_STREAM, "/events/stream?since=2020-01-01")
    times = [message["event"]["occurred_at"] for message in received]
    assert times == sorted(times)
    assert len({message["event"]["id"] for message in received}) == len({message["id"] for message in received}) == 110


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (390, "dark")])
def test_axe_finds_no_violation(world: World, width: int, scheme: str) -> None:
    size = {"viewport": {"width": width, "height": 850 if width > 400 else 844}}
    with world.opened(
        "#type=envelope.canceled&type=notification.failed&last=90d", expected=FAILED, color_scheme=scheme, **size
    ) as watched:
        page = wait_for_rows(watched.page)
        check_accessibility(page, "list")
        box = page.get_by_role("combobox", name="Add a filter")
        box.fill("sig")
        check_accessibility(page, "suggestions")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Export").click()
        check_accessibility(page, "menu")
        page.keyboard.press("Escape")
        page.get_by_label("Period").select_option("custom")
        check_accessibility(page, "period")
        page.get_by_role("button", name="Cancel", exact=True).click()
        page.locator("tr[data-id] td.when").nth(1).click()
        page.get_by_role("complementary").locator("dl").first.wait_for()
        check_accessibility(page, "details")
        page.get_by_role("complementary").get_by_role("button", name="Close").click()
        page.locator("button[popovertarget=identity]").click()
        check_accessibility(page, "identity")
        page.get_by_role("button", name="API key").click()
        check_accessibility(page, "key")
        page.keyboard.press("Escape")
        page.goto(f"{world.url}/ui#since=2019-01-01&until=2019-01-02&unknown=1")
        page.get_by_role("heading", name="No events match").wait_for()
        check_accessibility(page, "empty")
        envelope = world.envelope("recipient.signed", "notification.failed")
        page.goto(f"{world.url}/ui{fragment([('envelope', envelope)])}")
        page.locator(".steps tbody tr").first.wait_for()
        check_accessibility(page, "envelope")


def test_a_time_stands_beside_the_first_line_of_its_event_on_a_phone(world: World) -> None:
    envelope = world.envelope("recipient.signed", "notification.failed")
    size = {"viewport": {"width": 375, "height": 844}}
    with world.opened(fragment([("envelope", envelope)]), expected=FAILED, **size) as watched:
        row = watched.page.locator(".steps tbody tr").first
        time, text = row.locator("time").bounding_box(), row.locator(".what button span").bounding_box()
        assert time is not None
        assert text is not None
        assert text["height"] > 1.5 * time["height"]  # the text has several lines
        assert abs(time["y"] - text["y"]) < 4


def check_accessibility(page: playwright.Page, state: str) -> None:
    """Assert that axe-core finds no violation and that nothing is wider than the screen."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    violations = [(one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in found["violations"]]
    assert violations == [], (state, violations)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state


def test_screenshots_for_the_documentation(world: World) -> None:
    """Updated with UPDATE_SCREENSHOTS=1."""
    if os.environ.get("UPDATE_SCREENSHOTS") != "1":
        pytest.skip("set UPDATE_SCREENSHOTS=1 to take them")
    size = {"viewport": {"width": 1366, "height": 850}, "timezone_id": "Atlantic/Reykjavik"}
    with world.opened(expected=FAILED, **size) as watched:
        page = wait_for_rows(watched.page)
        page.wait_for_load_state("networkidle")
        page.locator("tr[data-id] td.when").nth(3).click()
        page.get_by_role("complementary").locator("dl").first.wait_for()
        page.screenshot(path=IMAGES / "ui-events.png")
        envelope = world.envelope("recipient.reminded", "notification.failed", "envelope.completed")
        page.goto(f"{world.url}/ui{fragment([('envelope', envelope)])}")
        page.locator(".steps tbody tr").first.wait_for()
        page.screenshot(path=IMAGES / "ui-envelope.png")


def test_the_files_of_the_page(world: World) -> None:
    root = httpx.get(f"{world.url}/")
    assert (root.status_code, root.headers["location"]) == (307, "docs")
    first = httpx.get(f"{world.url}/ui")
    again = httpx.get(f"{world.url}/ui", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert "unsafe" not in first.headers["content-security-policy"]
    with opened(world.browser) as watched:
        watched.page.goto(f"{world.url}/ui")
        with pytest.raises(playwright.Error, match="TrustedHTML"):  # the browser itself refuses HTML from text
            watched.page.evaluate("document.body.innerHTML = '<p>x</p>'")
    assert httpx.get(f"{world.url}/ui/vendor/preact.js").status_code == 200
    for missing in ("nothing.js", "index.html", "__init__.py", "vendor/package.json", "../main.py", "%2e%2e%2fmain.py"):
        response = httpx.get(f"{world.url}/ui/{missing}")
        assert (response.status_code, response.json()["code"]) == (404, "not_found"), missing
