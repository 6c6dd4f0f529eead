"""Finding providers, and making the configured sources."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import app.providers
from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings
from app.providers.registry import find_providers, make_sources
from sandbox.launcher import find_emulators
from tests.providers.acme import PROVIDER

PROVIDERS = {"acme": PROVIDER}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for provider folders; whatever is imported from it is forgotten afterwards."""
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
    ("name", "text", "says"),
    [
        ("empty", "", "has no PROVIDER"),
        ("none", "PROVIDER = None", "has no PROVIDER"),
        ("wrong", "PROVIDER = 5", "must be a Provider, not int"),
        ("broken", "import not_there_at_all", "cannot be imported: ModuleNotFoundError"),
        ("named", good("otherwise"), "must be the folder's name"),
        ("taktikal", good("taktikal"), "Two provider folders have one name"),
    ],
)
def test_a_broken_folder_stops_the_start_and_is_named(folder: Path, name: str, text: str, says: str) -> None:
    write(folder, name, text)
    with pytest.raises(ConfigurationError) as caught:
        find_providers([folder])
    assert f"{folder}/{name}" in caught.value.detail
    assert says in caught.value.detail


def test_a_path_that_is_no_directory() -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_PROVIDERS_PATH: /not/there is no directory"):
        find_providers(["/not/there"])


def test_sources_of_the_environment_and_of_tables_sorted_by_name() -> None:
    tables = [{"name": "zebra", "provider": "acme", "token": "t"}, {"name": "Aarhus", "provider": "acme", "token": "t"}]
    sources = make_sources(PROVIDERS, {"ACME_TOKEN": "t"}, tables, CommonSettings(settle=7))
    assert [source.name for source in sources] == ["Aarhus", "acme", "zebra"]
    assert {source.settle for source in sources} == {7}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"provider": "acme"}, "number 1: name must be"),
        ({"name": "with space", "provider": "acme"}, "name must be"),
        ({"name": "n"}, r"number 1 \(n\): provider must be one of acme"),
        ({"name": "n", "provider": "nobody"}, "provider must be one of acme"),
        ({"name": "n", "provider": "acme"}, r"\[\[sources\]\] number 1 \(n\): token is missing"),
        ({"name": "acme", "provider": "acme", "token": "t"}, "Two sources have the name acme"),
    ],
)
def test_a_wrong_table_is_named(table: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make_sources(PROVIDERS, {"ACME_TOKEN": "t"}, [table], CommonSettings())
