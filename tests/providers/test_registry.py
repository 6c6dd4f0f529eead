"""Discovery of providers, and creation of the configured sources. A third provider is one folder: it is copied to an
empty directory, named in the environment, and served."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import app.providers
from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings
from app.providers.registry import find_providers, make_sources
from sandbox.launcher import find_emulators
from tests.cli.served import call
from tests.contract.example import ADAPTER, EMULATOR, FILES
from tests.process import serving
from tests.providers.acme import PROVIDER

PROVIDERS = {"acme": PROVIDER}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for provider folders, whose modules are unloaded afterwards."""
    monkeypatch.setattr(app.providers, "__path__", list(app.providers.__path__))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("app.providers."):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text)


def good(name: str) -> str:
    return (
        "import msgspec\n"
        "from tests.providers.acme import PROVIDER\n"
        f"PROVIDER = msgspec.structs.replace(PROVIDER, name={name!r})\n"
    )


def test_every_emulated_provider_is_found() -> None:
    assert set(find_emulators()) <= set(find_providers())


def test_a_folder_elsewhere_is_found(folder: Path) -> None:
    write(folder, "outside", good("outside"))
    assert find_providers([folder])["outside"].title == "Acme Sign"


def test_a_provider_may_be_a_single_module(folder: Path) -> None:
    (folder / "single.py").write_text(good("single"))
    assert "single" in find_providers([folder])


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("empty", "", "exports no PROVIDER"),
        ("none", "PROVIDER = None", "exports no PROVIDER"),
        ("wrong", "PROVIDER = 5", "must be a Provider, not int"),
        ("broken", "import not_there_at_all", "cannot be imported: ModuleNotFoundError"),
        ("named", good("otherwise"), "must be the module's name"),
        ("taktikal", good("taktikal"), "Two providers have one name"),
    ],
)
def test_a_broken_folder_is_a_configuration_error_that_names_it(
    folder: Path, name: str, text: str, detail: str
) -> None:
    write(folder, name, text)
    with pytest.raises(ConfigurationError) as caught:
        find_providers([folder])
    assert f"{folder}/{name}" in caught.value.detail
    assert detail in caught.value.detail


def test_a_missing_directory_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_PROVIDERS_PATH: /not/there is no directory"):
        find_providers(["/not/there"])


def test_sources_of_environment_and_tables_are_sorted_by_name() -> None:
    tables = [{"name": "zebra", "provider": "acme", "token": "t"}, {"name": "Aarhus", "provider": "acme", "token": "t"}]
    sources = make_sources(PROVIDERS, {"ACME_TOKEN": "t"}, tables, CommonSettings(settle=7))
    assert [source.name for source in sources] == ["Aarhus", "acme", "zebra"]
    assert {source.settle for source in sources} == {7}


@pytest.mark.parametrize(
    ("table", "detail"),
    [
        ({"provider": "acme"}, "number 1: name must be"),
        ({"name": "with space", "provider": "acme"}, "name must be"),
        ({"name": "n"}, r"number 1 \(n\): provider must be one of acme"),
        ({"name": "n", "provider": "nobody"}, "provider must be one of acme"),
        ({"name": "n", "provider": "acme"}, r"\[\[sources\]\] number 1 \(n\): token is missing"),
        ({"name": "acme", "provider": "acme", "token": "t"}, "Two sources have the name acme"),
    ],
)
def test_an_invalid_table_is_named(table: dict[str, str], detail: str) -> None:
    with pytest.raises(ConfigurationError, match=detail):
        make_sources(PROVIDERS, {"ACME_TOKEN": "t"}, [table], CommonSettings())


ACME = Path(__file__).with_name("acme")


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    shutil.copytree(ACME, tmp_path / "providers" / "acme", ignore=shutil.ignore_patterns("__pycache__"))
    return {"GATEWAY_PROVIDERS_PATH": str(tmp_path / "providers"), "GATEWAY_AUTH": "off"}


def get(url: str, **parameters: Any) -> dict[str, Any]:
    response = httpx.get(url, params=parameters, timeout=60)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_a_provider_folder_is_served_without_other_changes(settings: dict[str, str], tmp_path: Path) -> None:
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


def test_an_external_provider_is_in_the_sandbox_of_every_worker(tmp_path: Path) -> None:
    (tmp_path / "providers").mkdir()
    # Another name than the guide's, whose provider may be in the repository.
    (tmp_path / "providers" / "outside.py").write_text(FILES[ADAPTER].replace("signbox", "outside"))
    (tmp_path / "sandbox" / "outside").mkdir(parents=True)
    (tmp_path / "sandbox" / "outside" / "__init__.py").write_text(FILES[EMULATOR].replace("SIGNBOX", "OUTSIDE"))
    settings = {
        "GATEWAY_PROVIDERS_PATH": str(tmp_path / "providers"), "PYTHONPATH": str(tmp_path), "GATEWAY_AUTH": "off",
        "SANDBOX_PROVIDERS": "outside,subnoto,taktikal",
    }  # fmt: skip
    with serving("--sandbox", "--sandbox-events", "90", "--workers", "2", cwd=tmp_path, env=settings) as gateway:
        assert "outside (outside)" in gateway.greeting
        # A new connection each time, so that either worker may accept it.
        for _ in range(6):
            assert "outside" in {source["name"] for source in get(f"{gateway.url}/sources")["data"]}
            assert len(get(f"{gateway.url}/events", source="outside", since="P90D")["data"]) >= 20


@pytest.mark.parametrize("command", ["serve", "probe", "sources", "count", "openapi"])
def test_the_providers_path_is_read_from_dotenv(command: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_PROVIDERS_PATH=/nonexistent\n")
    ended = call(command, cwd=tmp_path, env={"TAKTIKAL_COMPANY_KEY": "a", "TAKTIKAL_API_KEY": "b"})
    assert ended.returncode == 2
    assert "GATEWAY_PROVIDERS_PATH: /nonexistent is no directory" in ended.stderr
    assert "Traceback" not in ended.stderr
