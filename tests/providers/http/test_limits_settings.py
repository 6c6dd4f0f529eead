"""How many calls a source gets: for all sources, or for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.assembly import build_sources
from app.config import load_configuration
from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings
from app.providers.registry import find_providers
from app.providers.settings import SourceSettings
from app.providers.subnoto.settings import SubnotoSettings
from app.providers.taktikal.settings import TaktikalSettings

KEYS = {
    "taktikal": {"TAKTIKAL_COMPANY_KEY": "c", "TAKTIKAL_API_KEY": "k"},
    "subnoto": {"SUBNOTO_ACCESS_KEY": "c", "SUBNOTO_SECRET_KEY": "k"},
}
SETTINGS: dict[str, type[TaktikalSettings] | type[SubnotoSettings]] = {
    "taktikal": TaktikalSettings,
    "subnoto": SubnotoSettings,
}


def test_a_source_says_otherwise_or_nothing() -> None:
    common = CommonSettings(settle=7, max_concurrency=5, max_rate=3.0)
    assert SourceSettings(base_url="http://a").over(common) == common
    found = SourceSettings(base_url="http://a", settle=1, concurrency=2, rate=0.5).over(common)
    assert (found.settle, found.max_concurrency, found.max_rate) == (1, 2, 0.5)


@pytest.mark.parametrize("vendor", SETTINGS)
def test_from_the_environment(vendor: str) -> None:
    env = {**KEYS[vendor], f"{vendor.upper()}_CONCURRENCY": "4", f"{vendor.upper()}_RATE": "2.5"}
    found = SETTINGS[vendor].from_environment(vendor, env)
    assert (found.concurrency, found.rate) == (4, 2.5)


@pytest.mark.parametrize("vendor", SETTINGS)
@pytest.mark.parametrize(
    ("name", "value"), [("CONCURRENCY", "0"), ("CONCURRENCY", "x"), ("RATE", "0"), ("RATE", "nan")]
)
def test_a_wrong_one_is_named(vendor: str, name: str, value: str) -> None:
    variable = f"{vendor.upper()}_{name}"
    with pytest.raises(ConfigurationError, match=variable):
        SETTINGS[vendor].from_environment(vendor, {**KEYS[vendor], variable: value})


def test_from_the_file_and_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_SOURCE_CONCURRENCY", "3")
    monkeypatch.setenv("GATEWAY_SOURCE_RATE", "9")
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[[sources]]\nname = "a"\nprovider = "taktikal"\ncompany_key = "c"\napi_key = "k"\n'
        "concurrency = 2\nrate = 1.5\n"
        '[[sources]]\nname = "b"\nprovider = "taktikal"\ncompany_key = "c"\napi_key = "k"\n'
    )
    configuration = load_configuration(file, env_file=None)
    assert (configuration.settings.source_concurrency, configuration.settings.source_rate) == (3, 9.0)
    assert {source.name for source in build_sources(configuration, find_providers())} >= {"a", "b"}


@pytest.mark.parametrize(("variable", "value"), [("GATEWAY_SOURCE_CONCURRENCY", "0"), ("GATEWAY_SOURCE_RATE", "-1")])
def test_a_wrong_one_for_all_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable):
        load_configuration(None, env_file=None)
