"""Swagger UI in a real browser: authorize, try it out, read events; and no request leaves the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.process import serving

CHROMIUM = Path("/usr/bin/chromium")
SCREENSHOT = Path(__file__).parents[2] / "docs" / "images" / "swagger-ui.png"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(),
    reason=f"no {CHROMIUM}: install it with `apt-get install chromium` to run this test",
)

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture
def page() -> Iterator[playwright.Page]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(20_000)
        yield page
        browser.close()


def test_try_it_out_in_the_sandbox(page: playwright.Page, tmp_path: Path) -> None:
    requested: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with serving("--sandbox", "--sandbox-events", "200", cwd=tmp_path) as gateway:
        page.goto(f"{gateway.url}/docs")
        page.get_by_role("heading", name="Audit gateway").wait_for()
        assert page.title() == "Audit gateway"

        # The sandbox's key is filled in already: take it out, and put it in again as one would one's own.
        page.get_by_role("button", name="Authorize", exact=False).first.click()
        dialog = page.locator(".dialog-ux")
        dialog.get_by_role("button", name="Remove authorization").click()
        dialog.locator("input[aria-label='auth-bearer-value']").fill("sandbox")
        dialog.get_by_role("button", name="Apply credentials").first.click()
        dialog.get_by_role("button", name="Close").first.click()

        operation = page.locator("#operations-events-list_events")
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        operation.locator("tr[data-param-name='limit'] input").fill("2")
        with page.expect_response(lambda answer: "/events" in answer.url) as awaited:
            operation.get_by_role("button", name="Execute").click()
        answer = awaited.value
        assert answer.status == 200
        assert answer.request.headers["authorization"] == "Bearer sandbox"
        assert len(answer.json()["data"]) == 2
        shown = operation.locator(".live-responses-table tbody .response-col_description").first
        shown.wait_for()
        assert answer.json()["data"][0]["id"] in shown.inner_text()

        operation.locator("tr[data-param-name='cursor'] input").fill(answer.json()["page"]["next_cursor"])
        with page.expect_response(lambda answer: "cursor=" in answer.url) as awaited:
            operation.get_by_role("button", name="Execute").click()
        following = awaited.value
        assert following.status == 200
        first, second = ({event["id"] for event in page.json()["data"]} for page in (answer, following))
        assert len(second) == 2
        assert not first & second
        if os.environ.get("UPDATE_SCREENSHOTS") == "1":
            SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
            operation.locator(".responses-wrapper").evaluate("element => element.scrollIntoView()")
            page.screenshot(path=SCREENSHOT)
        own = urlsplit(gateway.url).netloc
    elsewhere = [url for url in requested if urlsplit(url).netloc != own and not url.startswith(("data:", "blob:"))]
    assert elsewhere == []
    assert complaints == []
