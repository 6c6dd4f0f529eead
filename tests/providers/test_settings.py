"""The providers' settings: their origins, and the error of an invalid one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.config import load_configuration
from app.domain.errors import ConfigurationError
from app.main import build_sources
from app.providers.base import CommonSettings
from app.providers.settings import SourceSettings
from app.providers.subnoto import PROVIDER as SUBNOTO
from app.providers.subnoto.settings import SubnotoSettings
from app.providers.taktikal import PROVIDER as TAKTIKAL
from app.providers.taktikal.settings import TaktikalSettings

TAKTIKAL_KEYS = {"TAKTIKAL_COMPANY_KEY": "company", "TAKTIKAL_API_KEY": "test-key"}
SUBNOTO_KEYS = {"SUBNOTO_ACCESS_KEY": "access", "SUBNOTO_SECRET_KEY": "test-key"}


def test_limits_and_defaults_of_both_providers() -> None:
    taktikal = TaktikalSettings.from_environment(
        "taktikal", TAKTIKAL_KEYS | {"TAKTIKAL_CONCURRENCY": "4", "TAKTIKAL_RATE": "2.5"}
    )
    subnoto = SubnotoSettings.from_environment(
        "subnoto", SUBNOTO_KEYS | {"SUBNOTO_CONCURRENCY": "4", "SUBNOTO_RATE": "2.5"}
    )
    assert (taktikal.concurrency, taktikal.rate) == (subnoto.concurrency, subnoto.rate) == (4, 2.5)
    assert "test-key" not in f"{taktikal!r} {taktikal} {subnoto!r} {subnoto}"
    assert taktikal.base_url == "https://core.taktikal.com/api"
    assert (taktikal.date_range_mode, taktikal.log_mode) == ("auto", "auto")
    assert taktikal.max_envelope_age == timedelta(days=120)
    assert subnoto.base_url == "http://localhost:8080"
    assert (subnoto.categories, subnoto.max_time_skew, subnoto.transport) == (("envelope", "team"), 120.0, "proxy")


@pytest.mark.parametrize("provider", [TAKTIKAL, SUBNOTO])
def test_without_keys_there_is_no_source(provider: Any) -> None:
    assert provider.from_environment({}, CommonSettings()) is None
    assert provider.from_environment(dict.fromkeys(provider.variables, ""), CommonSettings()) is None


BASE_URLS = [
    "ftp://x", "https://u:p@x", "https://x/?a=b", "http://localhost:geheim/api", "http://localhost:99999/api",
    "http://u:[geheim]@x", "http://gehe\x00im",
]  # fmt: skip
NUMBERS = {"CONCURRENCY": ["0", "x"], "RATE": ["0", "nan"]}
WRONG: dict[str, dict[str, list[str]]] = {
    "TAKTIKAL": {
        "BASE_URL": BASE_URLS, "DATE_RANGE_MODE": ["both"], "LOG_MODE": ["half"], "MAX_ENVELOPE_AGE": ["PT1S", "long"],
        "COMPANY_KEY": ["", "a:b"], "API_KEY": ["", "a\nb"], **NUMBERS,
    },
    "SUBNOTO": {
        "SECRET_KEY": ["", "geheim\u00e9"], "ACCESS_KEY": ["geheim:b"], "CATEGORIES": ["envelope,other", ","],
        "MAX_TIME_SKEW": ["-1", "nan"], "TRANSPORT": ["pigeon"], **NUMBERS,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "name", "value"),
    [(vendor, name, value) for vendor, wrong in WRONG.items() for name, values in wrong.items() for value in values],
)
def test_an_invalid_setting_is_named_by_its_variable_without_its_value(vendor: str, name: str, value: str) -> None:
    provider, keys = {"TAKTIKAL": (TAKTIKAL, TAKTIKAL_KEYS), "SUBNOTO": (SUBNOTO, SUBNOTO_KEYS)}[vendor]
    with pytest.raises(ConfigurationError) as error:
        provider.from_environment(keys | {f"{vendor}_{name}": value}, CommonSettings())
    assert error.value.detail.startswith(f"{vendor}_{name}")
    assert "test-key" not in error.value.detail
    assert "geheim" not in error.value.detail


@pytest.mark.parametrize("value", ["120", "P1X", "120 days", "12:00:00", "long", 120, 120.0])
def test_an_age_without_its_unit_is_rejected_with_an_example(value: Any) -> None:
    with pytest.raises(ConfigurationError) as error:
        TaktikalSettings.from_table({"company_key": "a", "api_key": "b", "max_envelope_age": value})
    assert error.value.detail == "max_envelope_age: must be an ISO 8601 duration such as P120D."


def test_all_invalid_settings_are_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as error:
        TaktikalSettings.from_environment(
            "taktikal", {"TAKTIKAL_API_KEY": "a", "TAKTIKAL_LOG_MODE": "half", "TAKTIKAL_MAX_ENVELOPE_AGE": "PT1S"}
        )
    assert error.value.detail == (
        "TAKTIKAL_COMPANY_KEY is missing; set it; TAKTIKAL_LOG_MODE: must be 'auto', 'whole' or 'trimmed';"
        " TAKTIKAL_MAX_ENVELOPE_AGE: must be from PT1M to P3660D."
    )


@pytest.mark.parametrize(
    ("provider", "keys"),
    [(TAKTIKAL, {"company_key": "a", "api_key": "b"}), (SUBNOTO, {"access_key": "a", "secret_key": "b"})],
)
def test_a_table_of_the_toml_file_makes_a_source_or_an_error(provider: Any, keys: dict[str, str]) -> None:
    source = provider.from_table("mine", {**keys, "settle": 5, "base_url": "https://x.example/api/"}, CommonSettings())
    assert (source.name, source.settle) == ("mine", 5)
    assert provider.from_table("mine", keys, CommonSettings(settle=9)).settle == 9
    for wrong, named in (
        ({"settel": 5}, "settel"),
        ({"settle": -1}, "settle"),
        ({"settle": 90_000}, "settle"),
        ({"settle": float("nan")}, "settle"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            provider.from_table("mine", {**keys, **wrong}, CommonSettings())


def test_settings_of_a_source_override_the_common_ones() -> None:
    common = CommonSettings(settle=7, max_concurrency=5, max_rate=3.0)
    assert SourceSettings(base_url="http://a").over(common) == common
    found = SourceSettings(base_url="http://a", settle=1, concurrency=2, rate=0.5).over(common)
    assert (found.settle, found.max_concurrency, found.max_rate) == (1, 2, 0.5)


def test_limits_are_read_from_the_file_and_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
    assert {source.name for source in build_sources(configuration)} >= {"a", "b"}
