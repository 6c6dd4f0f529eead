"""A third provider is one folder: it is copied to an empty directory, named in the environment, and served."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.served import call
from tests.process import serving

ACME = Path(__file__).with_name("acme")
EXAMPLE = Path(__file__).parent.parent / "contract" / "example"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    shutil.copytree(ACME, tmp_path / "providers" / "acme", ignore=shutil.ignore_patterns("__pycache__"))
    return {"GATEWAY_PROVIDERS_PATH": str(tmp_path / "providers"), "GATEWAY_AUTH": "off"}


def get(url: str, **parameters: Any) -> dict[str, Any]:
    answer = httpx.get(url, params=parameters, timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_served_with_no_other_change(settings: dict[str, str], tmp_path: Path) -> None:
    with serving(cwd=tmp_path, env={**settings, "ACME_TOKEN": "secret-token"}) as gateway:
        assert "acme (acme)" in gateway.greeting
        events, cursor = [], None
        while True:
            page = get(f"{gateway.url}/events", limit=7, **({"cursor": cursor} if cursor else {"since": "2026-05-01"}))
            events += page["data"]
            cursor = page["page"]["next_cursor"]
            if cursor is None:
                break
        found = get(f"{gateway.url}/events/{events[20]['id']}")
        sealed = get(f"{gateway.url}/events", since="2026-05-01", type="envelope.completed")["data"]
        types = get(f"{gateway.url}/event-types")
        sources = httpx.get(f"{gateway.url}/sources").text
        document = httpx.get(f"{gateway.url}/openapi.json").text
    assert [int(event["provider_id"]) for event in events] == list(range(59, -1, -1))
    assert found == events[20]
    assert len(sealed) == 20
    assert {provider["name"] for provider in types["providers"]} >= {"acme"}
    assert '"acme"' in document
    assert "secret-token" not in sources
    assert "secret-token" not in gateway.errors.read_text()


def test_one_from_elsewhere_is_in_the_sandbox_of_every_worker(tmp_path: Path) -> None:
    (tmp_path / "providers").mkdir()
    shutil.copy(EXAMPLE / "signbox.py", tmp_path / "providers")
    shutil.copytree(EXAMPLE / "sandbox", tmp_path / "sandbox" / "signbox")
    settings = {
        "GATEWAY_PROVIDERS_PATH": str(tmp_path / "providers"),
        "PYTHONPATH": str(tmp_path),
        "GATEWAY_AUTH": "off",
    }
    with serving("--sandbox", "--sandbox-events", "60", "--workers", "2", cwd=tmp_path, env=settings) as gateway:
        assert "signbox (signbox)" in gateway.greeting
        # A new connection each time, so that either worker may get it.
        for _ in range(6):
            assert "signbox" in {source["name"] for source in get(f"{gateway.url}/sources")["data"]}
            assert len(get(f"{gateway.url}/events", source="signbox", since="P90D")["data"]) >= 20


@pytest.mark.parametrize("command", ["serve", "probe", "sources", "count", "openapi"])
def test_its_folder_may_be_named_in_dotenv(command: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_PROVIDERS_PATH=/nonexistent\n")
    ended = call(command, cwd=tmp_path, env={"TAKTIKAL_COMPANY_KEY": "a", "TAKTIKAL_API_KEY": "b"})
    assert ended.returncode == 2
    assert "GATEWAY_PROVIDERS_PATH: /nonexistent is no directory" in ended.stderr
    assert "Traceback" not in ended.stderr
