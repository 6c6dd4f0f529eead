"""Swagger UI in a real browser: authorize, try it out, read events, without a request to another host."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Watched, needs_chromium, opened, playwright
from tests.process import serving

SCREENSHOT = Path(__file__).parents[2] / "docs" / "images" / "swagger-ui.png"

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("--sandbox", "--sandbox-events", "200", cwd=tmp_path_factory.mktemp("docs")) as gateway:
        yield gateway.url


@pytest.fixture
def docs(browser: playwright.Browser, url: str) -> Iterator[Watched]:
    with opened(browser, viewport={"width": 1280, "height": 1000}) as watched:
        watched.page.goto(f"{url}/docs")
        watched.page.get_by_role("heading", name="Audit gateway").wait_for()
        yield watched
        watched.assert_quiet(url)


def try_it_out(page: playwright.Page) -> playwright.Locator:
    operation = page.locator("#operations-events-list_events")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def execute(operation: playwright.Locator, parameter: str, value: str) -> playwright.Response:
    """Fill in one parameter, execute, and return the response."""
    operation.locator(f"tr[data-param-name='{parameter}'] input").fill(value)
    with operation.page.expect_response(lambda response: f"{parameter}=" in response.url) as awaited:
        operation.get_by_role("button", name="Execute").click()
    return awaited.value


def test_the_page_and_its_calls(docs: Watched, url: str) -> None:
    page = docs.page
    assert page.title() == "Audit gateway"
    intro = page.locator(".info").inner_text()
    assert "Three calls cover most needs" in intro
    for call in ("GET /events", "GET /events?cursor=…", "GET /envelopes/{envelope_id}"):
        assert call in intro

    # The sandbox's key is filled in.
    operation = try_it_out(page)
    response = execute(operation, "limit", "1")
    assert (response.status, response.request.headers["authorization"]) == (200, "Bearer sandbox")
    page.get_by_role("button", name="Authorize", exact=False).first.click()
    dialog = page.locator(".dialog-ux")
    dialog.get_by_role("button", name="Remove authorization").click()
    dialog.locator("input[aria-label='auth-bearer-value']").fill("sandbox")
    dialog.get_by_role("button", name="Apply credentials").first.click()
    dialog.get_by_role("button", name="Close").first.click()
    response = execute(operation, "limit", "2")
    assert (response.status, response.request.headers["authorization"]) == (200, "Bearer sandbox")
    shown = operation.locator(".live-responses-table tbody .response-col_description").first
    playwright.expect(shown).to_contain_text(response.json()["data"][1]["id"])
    next_page = execute(operation, "cursor", response.json()["page"]["next_cursor"])
    assert next_page.status == 200
    assert len({event["id"] for one in (response, next_page) for event in one.json()["data"]}) == 4
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        operation.locator(".responses-wrapper").evaluate("element => element.scrollIntoView()")
        page.screenshot(path=SCREENSHOT)

    page.get_by_role("link", name="Audit trail").click()
    page.get_by_role("link", name="Audit trail").wait_for()
    assert page.url.partition("#")[0] == f"{url}/ui"  # followed by its state once it has loaded
    page.locator("tr[data-id]").first.wait_for()


def test_under_a_path_prefix(browser: playwright.Browser, url: str) -> None:
    """Behind a proxy that adds a path, calls go to this path and not to the root of the host."""
    prefix = f"{url}/tools/audit"
    with opened(browser) as watched:
        page = watched.page
        page.route(
            f"{prefix}/**",
            lambda route: route.fulfill(response=route.fetch(url=route.request.url.replace(prefix, url, 1))),
        )
        page.goto(f"{prefix}/docs")
        response = execute(try_it_out(page), "limit", "1")
        assert response.url == f"{prefix}/events?limit=1"
        assert response.status == 200
        assert all(one.startswith((prefix, "data:", "blob:")) for one in watched.requested)
        watched.assert_quiet(url)
