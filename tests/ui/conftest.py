"""One browser for all tests of the page, in front of the real command and a seeded sandbox."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

import sandbox.subnoto as subnoto_emulator
import sandbox.taktikal as taktikal_emulator
from app.api.api_keys import ApiKey, hash_of
from app.domain.caller import SCOPES
from sandbox.launcher import Sandbox, start_sandbox
from sandbox.serving import serve
from tests.browser import Watched, chromium, opened, playwright
from tests.process import read_all_events, serving
from tests.providers.faulty import Rewritten

ALL, MASKED, SUBNOTO_ONLY, NO_EVENTS = "all-scopes", "events-only", "subnoto-only", "no-events"
KEYS = (
    ApiKey("auditor", hash_of(ALL), frozenset(SCOPES)),
    ApiKey("masked", hash_of(MASKED), frozenset({"events:read"})),
    ApiKey("poor", hash_of(SUBNOTO_ONLY), frozenset({"events:read", "pii:read"}), sources=frozenset({"subnoto"})),
    ApiKey("narrow", hash_of(NO_EVENTS), frozenset({"metrics:read"})),
)
HOSTILE = (
    '<img src="https://evil.example/x" onerror="window.hit=1"><script>window.hit=1</script>',
    '"><svg onload=window.hit=1>', '=HYPERLINK("https://evil.example";"you")', "javascript:window.hit=1",
    "אבג דהו \u202eevil", "long" * 80,
)  # fmt: skip
PERSONAL = re.compile(r"name|title|mail|reason|description", re.IGNORECASE)
Json = dict[str, Any]
Pairs = list[tuple[str, Any]]


@dataclass(frozen=True)
class World:
    url: str
    browser: playwright.Browser
    sandbox: Sandbox

    def get(self, path: str, pairs: Pairs | None = None, key: str = ALL) -> httpx.Response:
        return httpx.get(f"{self.url}/{path}", params=pairs, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    def walk(self, pairs: Pairs, key: str = ALL) -> list[Json]:
        """Return all events, in pages of another size than that of the UI."""
        return read_all_events(self.url, pairs, key, limit=333)

    @contextmanager
    def opened(self, fragment: str = "", key: str = ALL, expected: str = "", **context: Any) -> Iterator[Watched]:
        """Open the page with `key` entered. Its console must have no errors but lines with `expected`."""
        with opened(self.browser, **context) as watched:
            watched.page.add_init_script(f"sessionStorage.setItem('audit-gateway-key', '{key}')")
            watched.page.goto(f"{self.url}/ui{fragment}")
            yield watched
            watched.assert_quiet(self.url, expected)

    def envelope(self, *types: str) -> str:
        """Return the id of an envelope that has events of all these types."""
        found = [
            {event["envelope"]["id"] for event in self.walk([("since", "2020-01-01"), ("type", t)])} for t in types
        ]
        return min(set.intersection(*found))


@pytest.fixture(scope="package")
def browser() -> Iterator[playwright.Browser]:
    """For this package only: while it is open, its thread runs an event loop that other tests cannot share."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory, browser: playwright.Browser) -> Iterator[World]:
    with start_sandbox(events=900, days=20, seed=11) as sandbox:
        env = {**sandbox.env, "GATEWAY_API_KEYS": "\n".join(key.line() for key in KEYS)}
        with serving(cwd=tmp_path_factory.mktemp("ui"), env=env) as gateway:
            yield World(gateway.url, browser, sandbox)


@pytest.fixture(scope="package")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a gateway without authentication, whose providers send hostile names, titles and addresses."""
    subnoto, taktikal = (
        emulator.make_sandbox(events=60, seed=3, days=10, clock=None)
        for emulator in (subnoto_emulator, taktikal_emulator)
    )
    with serve(Rewritten(subnoto.app, spoil)) as subnoto_url, serve(Rewritten(taktikal.app, spoil)) as taktikal_url:
        env = {"GATEWAY_AUTH": "off", **subnoto.env(subnoto_url), **taktikal.env(taktikal_url)}
        with serving(cwd=tmp_path_factory.mktemp("hostile"), env=env) as gateway:
            yield gateway.url


def spoil(value: Any) -> Any:
    if isinstance(value, list):
        return [spoil(member) for member in value]
    if not isinstance(value, dict):
        return value
    changed = {
        name: f"{HOSTILE[len(member) % len(HOSTILE)]} {member}"
        if isinstance(member, str) and PERSONAL.search(name)
        else spoil(member)
        for name, member in value.items()
    }
    if changed.get("eventType") == "ENVELOPE_OPENED":
        changed["eventType"] = f"NEW_{HOSTILE[1]}"
    return changed


def rows(page: playwright.Page) -> list[str]:
    """Return the ids of the events in the table."""
    return list(page.locator("tr[data-id]").evaluate_all("all => all.map(one => one.dataset.id)"))


def wait_for_rows(page: playwright.Page) -> playwright.Page:
    page.locator("tr[data-id]").first.wait_for()
    playwright.expect(page.locator(".after")).not_to_contain_text("Loading")
    return page


def scroll_to_the_end(page: playwright.Page) -> None:
    end = time.monotonic() + 120  # a busy machine renders thousands of rows slowly
    while after := page.inner_text(".after"):  # "Loading" or "Load more"
        assert time.monotonic() < end, f"the list has no end: {after}"
        page.mouse.wheel(0, 20_000)
        page.wait_for_timeout(20)


def fragment(pairs: Pairs) -> str:
    return f"#{urlencode(pairs)}"


def is_path(path: str) -> Callable[[str], bool]:
    return lambda url: urlsplit(url).path == path
