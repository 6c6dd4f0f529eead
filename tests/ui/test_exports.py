"""Files, copied commands and printed pages of the events view of `/ui`."""

import csv
import io
import json
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.browser import needs_chromium, playwright
from tests.ui.conftest import World, fragment, is_path, rows, wait_for_rows

pytestmark = needs_chromium


def test_exports_are_those_of_the_api(world: World) -> None:
    with world.opened("#last=90d&source=taktikal", expected="Failed to load resource") as watched:
        page = wait_for_rows(watched.page)
        query = [pair for pair in parse_qsl(urlsplit(page.url).fragment) if pair[0] != "last"]
        expected = world.walk(query)
        assert [json.loads(line) for line in download(page, "NDJSON").decode().splitlines()[:-1]] == expected
        body = download(page, "CSV")
        assert body.startswith(b"\xef\xbb\xbf")
        table = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline="")))
        assert [row["id"] for row in table] == [event["id"] for event in expected]

        def cut(route: playwright.Route) -> None:
            fetched = route.fetch()
            route.fulfill(response=fetched, body="\n".join(fetched.text().splitlines()[:-1]))

        page.route(is_path("/events/export"), cut)
        page.get_by_role("button", name="Export").click()
        page.get_by_role("button", name="NDJSON").click()
        page.get_by_role("alert").filter(has_text="not complete, and was not saved").wait_for()


def download(page: playwright.Page, form: str) -> bytes:
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as awaited:
        page.get_by_role("button", name=form).click()
    assert awaited.value.suggested_filename.startswith("audit-events_")
    return Path(awaited.value.path()).read_bytes()


def test_the_copied_command_gives_the_same_events(world: World, tmp_path: Path) -> None:
    odd = 'O\'Brien "$(touch pwned)" `touch pwned` \\ & ;#+%41 é ☃'
    for pairs in ([("type", "recipient.*"), ("last", "7d")], [("q", odd), ("last", "7d")]):
        with world.opened(fragment(pairs), permissions=["clipboard-read", "clipboard-write"]) as watched:
            page = watched.page
            page.get_by_role("button", name="Export").click()
            page.get_by_role("button", name="Copy as curl").click()
            page.get_by_text("The command is copied.").wait_for()
            command = page.evaluate("navigator.clipboard.readText()")
            env = {"GATEWAY_KEY": "all-scopes", "PATH": "/usr/bin:/bin"}
            done = subprocess.run(
                ["/bin/sh", "-c", command], cwd=tmp_path, env=env, capture_output=True, check=True, timeout=60
            )
            assert [event["id"] for event in json.loads(done.stdout)["data"]] == rows(page)
            assert "all-scopes" not in command
    assert list(tmp_path.iterdir()) == []


def test_a_printed_list_is_a_table_with_its_filters_and_period(world: World) -> None:
    with world.opened("#type=recipient.signed&last=90d") as watched:
        page = wait_for_rows(watched.page)
        page.emulate_media(media="print")
        head = page.locator(".printed").inner_text()
        assert "Type: recipient.signed" in head
        assert "Period: " in head
        assert page.locator(".events").evaluate("one => getComputedStyle(one).display") == "table"
        assert page.locator(".events td.source").first.is_visible()
        assert not page.locator(".list-bar button, .filters, .timeline").locator("visible=true").count()
        assert page.pdf(format="A4").startswith(b"%PDF")
