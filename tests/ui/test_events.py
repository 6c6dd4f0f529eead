"""The events view of `/ui` has every event of the API and names missing ones."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.browser import needs_chromium, opened, playwright
from tests.process import serving
from tests.ui.conftest import MASKED, World, fragment, is_path, rows, scroll_to_the_end, wait_for_rows
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, served_world

pytestmark = needs_chromium
expect = playwright.expect
FAILED = "Failed to load resource"  #: chromium's console message for each status of 400 or more
DESKTOP = {"viewport": {"width": 1366, "height": 850}}


def add_filter(page: playwright.Page, text: str) -> None:
    box = page.get_by_role("combobox", name="Add a filter")
    box.click()
    box.fill(text)
    page.keyboard.press("Enter")


def test_every_event_has_one_row_and_ten_rows_are_visible(world: World) -> None:
    with world.opened("#last=90d", **DESKTOP) as watched:
        page = wait_for_rows(watched.page)
        visible = page.locator("tr[data-id]").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().bottom <= innerHeight).length"
        )
        assert visible > 10
        window = [pair for pair in parse_qsl(urlsplit(page.url).fragment) if pair[0] in ("since", "until")]
        expected = world.walk(window)
        assert len(expected) > 400
        scroll_to_the_end(page)
        assert rows(page) == [event["id"] for event in expected]
        assert page.inner_text(".count") == f"{len(expected):,} events"
        head = page.locator(".events thead").bounding_box()
        assert head is not None
        assert head["y"] == pytest.approx(0, abs=1)  # the head of the table is sticky

        # All rows of an envelope have its name, even if only one event contains it.
        names = {
            event["envelope"]["id"]: event["envelope"]["name"]
            for event in expected
            if (event["envelope"] or {}).get("name")
        }
        shown = page.locator("tr[data-id] td.envelope").evaluate_all("all => all.map(one => one.textContent.trim())")
        envelopes = [event["envelope"] for event in expected]
        assert shown == [names.get(one["id"], one["id"]) if one else "–" for one in envelopes]


def test_the_count_and_the_timeline_span_the_period(world: World) -> None:
    with world.opened("#last=90d", expected=FAILED, **DESKTOP) as watched:
        page = wait_for_rows(watched.page)
        window = [pair for pair in parse_qsl(urlsplit(page.url).fragment) if pair[0] in ("since", "until")]
        expected = world.walk(window)
        expect(page.locator(".count")).to_have_text(f"200 of {len(expected):,} events")
        plot = page.get_by_role("slider", name="Events by day")
        assert plot.get_attribute("aria-valuemax") == "90"
        plot.focus()
        page.keyboard.press("End")
        page.keyboard.press("Shift+Home")
        assert (plot.get_attribute("aria-valuetext") or "").endswith(f": {len(expected):,} events")

        page.get_by_role("combobox", name="Add a filter").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "person", "not the list of suggestions"

        # Dragging over the right half selects it.
        box = page.locator(".u-over").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20, steps=4)
        page.mouse.up()
        page.wait_for_url(lambda url: "last=" not in url)
        scroll_to_the_end(page)
        chosen = parse_qsl(urlsplit(page.url).fragment)
        assert chosen[1] == window[1]
        assert rows(page) == [event["id"] for event in world.walk(chosen)]


def test_filters_are_chips_and_links_pin_the_window(world: World) -> None:
    with world.opened(**DESKTOP) as watched:
        page = wait_for_rows(watched.page)
        page.keyboard.press("Control+k")
        page.keyboard.type("recipient sig")
        expect(page.locator("[role=option]").first).to_have_text("Type is recipient.signed")
        with page.expect_response(lambda response: is_path("/events")(response.url)) as awaited:
            page.keyboard.press("Enter")
        pairs = parse_qsl(urlsplit(awaited.value.url).query)
        assert ("type", "recipient.signed") in pairs
        add_filter(page, "source: taktikal")
        wait_for_rows(page)
        chips = page.get_by_role("list", name="Active filters").get_by_role("listitem")
        assert [text.replace("\n", " ").removesuffix(" ×") for text in chips.all_inner_texts()[:2]] == [
            "Type is recipient.signed", "Source is taktikal",
        ]  # fmt: skip
        page.get_by_label("Period").select_option("Last 90 days")
        scroll_to_the_end(wait_for_rows(page))
        shared = parse_qsl(urlsplit(page.url).fragment)
        assert {"last", "since", "until", "type", "source"} == {name for name, _ in shared}
        expected = [event["id"] for event in world.walk([pair for pair in shared if pair[0] != "last"])]
        assert rows(page) == expected

        page.reload()  # the period of the own view ends now again
        page.wait_for_url(lambda url: dict(parse_qsl(urlsplit(url).fragment)).get("until", "") > dict(shared)["until"])

        # In another browser, the link has the same period until Refresh.
        with world.opened(fragment(shared), **DESKTOP) as other:
            wait_for_rows(other.page)
            assert rows(other.page) == expected
            other.page.get_by_text("This link is pinned to").wait_for()
            other.page.get_by_role("button", name="Refresh").click()
            other.page.get_by_text("This link is pinned to").wait_for(state="hidden")
            other.page.wait_for_url(lambda url: "until=" in url)
            assert dict(parse_qsl(urlsplit(other.page.url).fragment))["until"] > dict(shared)["until"]

        page.get_by_role("button", name="Remove filter Source is taktikal").click()
        page.get_by_role("button", name="Remove filter Type is recipient.signed").click()
        wait_for_rows(page)
        page.go_back()
        expect(chips.first).to_contain_text("recipient.signed")


def test_an_exclusion_and_a_person_filter_as_in_the_api(world: World) -> None:
    with world.opened("#type=recipient.*&last=90d") as watched:
        page = wait_for_rows(watched.page)
        page.get_by_role("button", name="Type is recipient.*: change to is not").click()
        wait_for_rows(page)
        email = next(event["recipient"]["email"] for event in world.walk([("type", "recipient.signed")]))
        page.get_by_label("Person").fill(email)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "person=" in url)
        scroll_to_the_end(wait_for_rows(page))
        pairs = [pair for pair in parse_qsl(urlsplit(page.url).fragment) if pair[0] != "last"]
        assert {"person", "type.not"} <= {name for name, _ in pairs}
        assert rows(page) == [event["id"] for event in world.walk(pairs)]


def test_periods_and_time_zones(world: World) -> None:
    with world.opened("#last=90d&order=asc", timezone_id="Asia/Kolkata") as watched:
        page = wait_for_rows(watched.page)
        first = page.locator("tr[data-id] time").first
        utc = first.get_attribute("datetime") or ""
        local = first.inner_text()
        page.get_by_label("Time zone").select_option("UTC")
        assert first.inner_text().endswith(utc[11:19])
        assert not local.endswith(utc[11:19])
        page.get_by_label("Period").select_option("custom")
        page.get_by_label("From", exact=True).fill("2026-01-02T10:00")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_url(lambda url: "since=2026-01-02T10%3A00%3A00" in url)  # later in the format of the API
        page.reload()
        assert page.get_by_label("Time zone").input_value() == "utc"  # remembered


def test_an_empty_result_offers_a_wider_period(world: World) -> None:
    with world.opened(
        "#since=2019-01-01T00:00:00Z&until=2019-01-02T00:00:00Z&type=recipient.signed&sourc=x"
    ) as watched:
        page = watched.page
        page.get_by_role("heading", name="No events match").wait_for()
        page.get_by_text("Not understood in this address, and ignored: sourc").wait_for()
        page.get_by_role("button", name="Widen the period").click()
        wait_for_rows(page)
        page.goto(f"{world.url}/ui#since=7d&until=x")
        page.get_by_text("Not understood in this address, and ignored: since=7d, until=x").wait_for()
        wait_for_rows(page)


def test_invalid_and_unknown_values_are_explained(world: World) -> None:
    with world.opened("#type=a*b", expected=FAILED) as watched:
        page = watched.page
        remedy = world.get("events", [("type", "a*b")]).json()["errors"][0]["message"]
        page.get_by_role("alert").filter(has_text=remedy).wait_for()
        assert page.locator(".chip.wrong").count() == 1
        page.goto(f"{world.url}/ui#type=recipient.singed")
        page.get_by_role("heading", name="No events match").wait_for()
        page.get_by_role("status").filter(has_text="did you mean recipient.signed").first.wait_for()


def test_a_failed_reload_keeps_the_rows_and_names_the_source(world: World) -> None:
    emulator: Any = world.sandbox.stand_ins["taktikal"]
    with world.opened("#last=7d", expected=FAILED) as watched:
        page = wait_for_rows(watched.page)
        before = rows(page)
        emulator.faults.answer(401, times=9)
        page.get_by_role("button", name="Refresh").click()
        notice = page.get_by_role("alert").filter(has_text="could not be refreshed")
        expect(notice).to_contain_text("taktikal")
        assert rows(page) == before
        notice.get_by_role("button", name="Show the others").click()
        page.locator(".notice", has_text="taktikal did not answer. Its events are missing").wait_for()
        assert set(page.locator("td.source").all_inner_texts()) == {"subnoto"}
        emulator.faults.clear()
        page.locator(".notice", has_text="taktikal").get_by_role("button", name="Try again").click()
        page.locator("td.source", has_text="taktikal").first.wait_for()
        assert not page.locator(".notice").count()

        before = rows(page)
        page.route("**/events?*", lambda route: route.abort("internetdisconnected"))
        page.get_by_role("button", name="Refresh").click()
        page.get_by_role("alert").filter(has_text="cannot be reached").wait_for()
        assert rows(page) == before
        page.unroute("**/events?*")
        page.get_by_role("alert").get_by_role("button", name="Try again").click()
        page.get_by_role("alert").wait_for(state="hidden")


def test_details_have_a_permanent_link_and_work_by_keyboard(world: World) -> None:
    with world.opened("#last=90d", expected=FAILED, permissions=["clipboard-read", "clipboard-write"]) as watched:
        page = wait_for_rows(watched.page)
        shown = rows(page)
        focused = "document.activeElement.dataset.id"
        page.locator("tr[data-id]").first.focus()
        for _ in range(3):
            page.keyboard.press("ArrowDown")
        assert page.evaluate(focused) == shown[3]
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('tr').dataset.id") == shown[3], "the link in the row"
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        panel = page.get_by_role("complementary", name="Event details")
        expect(panel.locator("h2")).to_be_focused()
        event = world.get(f"events/{shown[3]}", [("include", "raw")]).json()
        for value in (event["id"], event["provider_type"]):
            panel.get_by_text(value, exact=True).first.wait_for()
        panel.get_by_role("button", name="Show raw record").click()
        assert (
            json.loads(panel.locator("section", has_text="Provider’s record").locator("pre").inner_text())
            == event["raw"]
        )
        panel.get_by_role("button", name="Copy link").click()
        page.get_by_text("The link to this event is copied.").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
        panel.get_by_role("button", name="Next event").click()
        assert f"event={shown[4]}" in page.url
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()
        page.goto(f"{world.url}/health/live")
        page.goto(link)
        panel.get_by_text(event["id"], exact=True).wait_for()


def test_gaps_are_named_and_a_team_event_has_its_target(browser: playwright.Browser, tmp_path: Path) -> None:
    """One account permits team events only, the other has unreadable records."""
    now = Clock(datetime.now(UTC))
    teams = SubnotoOptions(events=600, permissions=frozenset({"team"}))
    with served_world(TaktikalOptions(events=0), teams, now) as sources:
        for status, at in (
            ("Created", now() - timedelta(hours=1)),
            ("Reminder", 72 * 10**15),
            ("Reminder", 73 * 10**15),
        ):
            sources.taktikal.history.append("spunreadable", status, at=at)
        with serving(cwd=tmp_path, env={"GATEWAY_AUTH": "off", **sources.env}) as gateway, opened(browser) as watched:
            page = watched.page
            page.goto(f"{gateway.url}/ui#last=90d")
            wait_for_rows(page)
            notice = page.locator(".notice.warning")
            expect(notice.filter(has_text="subnoto")).to_contain_text("Some of its events are missing")
            expect(notice.filter(has_text="taktikal")).to_contain_text("2 records that cannot be read are left out")
            for form in ("NDJSON", "CSV"):
                page.get_by_role("button", name="Export").click()
                page.get_by_role("button", name=form).click()
                saved = page.locator(".notice", has_text=re.compile(rf"Saved as \S+\.{form.lower()}"))
                expect(saved).to_contain_text("Records that cannot be read")
            events = httpx.get(f"{gateway.url}/events?since=90d&category=team&limit=1000").json()["data"]
            event = next(event for event in events if event["target"])
            page.goto(f"{gateway.url}/ui#last=90d&event={event['id']}")
            section = page.get_by_role("complementary").locator("section", has_text="Target")
            expect(section).to_contain_text(event["target"]["email"])
            watched.assert_quiet(gateway.url)


def test_a_declined_envelope_is_no_success(world: World) -> None:
    with world.opened("#type=envelope.declined&last=90d") as watched:
        page = wait_for_rows(watched.page)
        page.locator("tr[data-id] td.when").first.click()
        page.get_by_role("complementary").locator(".lead", has_text="declined").wait_for()
        assert "success" not in page.inner_text("body").lower()


def test_masked_values_are_marked(world: World) -> None:
    with world.opened("#type=recipient.signed&source=taktikal&last=90d", key=MASKED, expected=FAILED) as watched:
        page = wait_for_rows(watched.page)
        page.locator("tr[data-id] td.when").first.click()
        panel = page.get_by_role("complementary")
        assert panel.locator(".masked").count() >= 2
        assert "***" not in panel.inner_text()
        panel.get_by_role("button", name="Show raw record").click()
        panel.get_by_text("raw:read").wait_for()
