"""The stream as its users have it: a browser's own EventSource, and a gateway that is stopped while they listen."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import httpx
import pytest

from tests.process import serving

KEY = {"Authorization": "Bearer sandbox"}
LISTEN = """
url => new Promise((resolve, reject) => {
  const got = [], source = new EventSource(url);
  source.onmessage = message => {
    got.push({id: message.lastEventId, event: JSON.parse(message.data)});
    if (got.length === 150) { source.close(); resolve(got); }
  };
  source.onerror = () => reject(new Error("the browser gave up"));
})
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_end_in_order_when_the_gateway_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    with serving("--sandbox", "--sandbox-events", "50", cwd=tmp_path, env={"GATEWAY_SHUTDOWN_GRACE": "0.1"}) as gateway:
        url = f"{gateway.url}/events/stream?since=2020-01-01"
        with httpx.stream("GET", url, headers=KEY, timeout=60) as answer:
            lines = answer.iter_lines()
            while not next(lines).startswith("data: "):
                pass
            gateway.process.send_signal(number)
            assert ": the gateway is stopping" in list(lines)
        gateway.code = gateway.process.wait(timeout=20)
    assert gateway.code == 0
    assert "Traceback" not in gateway.errors.read_text()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_a_browsers_own_event_source(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    env = {"GATEWAY_AUTH": "off"}
    with serving("--sandbox", "--sandbox-events", "500", cwd=tmp_path, env=env) as gateway, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        page = browser.new_page()
        page.goto(f"{gateway.url}/health/live")
        got = page.evaluate(LISTEN, "/events/stream?since=2020-01-01")
        browser.close()
    times = [message["event"]["occurred_at"] for message in got]
    assert times == sorted(times)
    assert len({message["event"]["id"] for message in got}) == len({message["id"] for message in got}) == 150
