"""Debian's chromium, and pages whose requests and errors are recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

needs_chromium = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install it with `apt-get install chromium` to run this test"
)


@contextmanager
def chromium() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page in its own browser context. `complaints`: warnings and errors in its console, and exceptions of its
    scripts."""

    page: playwright.Page
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(20_000)
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: playwright.ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def assert_quiet(self, url: str, expected: str = "") -> None:
        """Check that all requests went to `url`, and that there were no errors, except those with `expected`."""
        own = urlsplit(url).netloc
        elsewhere = [one for one in self.requested if urlsplit(one).netloc != own and not one.startswith(_LOCAL)]
        assert elsewhere == []
        assert [one for one in self.complaints if not expected or expected not in one] == []


_LOCAL = ("data:", "blob:")


@contextmanager
def opened(browser: playwright.Browser, **context: Any) -> Iterator[Watched]:
    """Yield a page in a new context. `context`: playwright's options, such as `color_scheme`."""
    options = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "Asia/Kolkata", **context}
    own = browser.new_context(**options)
    yield Watched(own.new_page())
    own.close()
