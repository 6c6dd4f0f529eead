"""Settings and sources: where they are read, precedence, and messages about invalid ones."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from app.config import Configuration, load_configuration, read_environment
from app.domain.errors import ConfigurationError
from app.main import build_sources

pytestmark = pytest.mark.usefixtures("clean")

SECRET = "a-secret-of-exactly-this-many-chars"


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Remove all settings from the environment and change to an empty directory."""
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "TAKTIKAL_", "SUBNOTO_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load_toml(path: Path, text: str) -> Configuration:
    file = path / "gateway.toml"
    file.write_text(text)
    return load_configuration(file)


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = load_configuration().settings
    assert settings.auth == "on"
    assert (settings.settle, settings.deadline, settings.scan, settings.totals_ttl) == (30, 30, 40, 30)
    assert settings.default_window == timedelta(days=30)
    assert settings.cors_origins == ()


def test_the_environment_overrides_dotenv_and_both_the_toml_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / ".env").write_text("GATEWAY_SCAN=2\nGATEWAY_SETTLE=2\nTAKTIKAL_API_KEY=from-dotenv\n")
    monkeypatch.setenv("GATEWAY_SCAN", "3")
    found = load_toml(clean, "[gateway]\nscan = 1\nsettle = 1\ndeadline = 1\n")
    assert (found.settings.scan, found.settings.settle, found.settings.deadline) == (3, 2, 1)
    assert found.environment["TAKTIKAL_API_KEY"] == "from-dotenv"


def test_an_empty_variable_is_unset_and_does_not_hide_dotenv(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("GATEWAY_DEADLINE", "TAKTIKAL_API_KEY", "GATEWAY_KEY")
    for name in names:
        monkeypatch.setenv(name, "")
    found = load_configuration()
    assert (found.settings.deadline, found.environment.get("TAKTIKAL_API_KEY")) == (30, None)
    (clean / ".env").write_text("".join(f"{name}=5\n" for name in names))
    found = load_configuration()
    assert found.settings.deadline == 5
    assert found.environment["TAKTIKAL_API_KEY"] == read_environment()["GATEWAY_KEY"] == "5"


@pytest.mark.parametrize("where", ["environment", ".env"])
def test_lower_case_names_are_ignored_with_a_warning(clean: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    for name in ("gateway_scan", "Gateway_Config", "taktikal_api_key"):
        if where == ".env":
            with (clean / ".env").open("a") as file:
                file.write(f"{name}=9\n")
        else:
            monkeypatch.setenv(name, "9")
    found = load_configuration()
    assert found.settings.scan == 40
    warnings = found.warnings
    for name in ("gateway_scan", "Gateway_Config", "taktikal_api_key"):
        assert f"{name} is not a setting and is ignored; did you mean {name.upper()}?" in warnings


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("GATEWAY_AUTH", "maybe", "'on' or 'off'"),
        ("GATEWAY_DEADLINE", "nan", "finite"),
        ("GATEWAY_DEADLINE", "soon", ": must be a valid number."),
        ("GATEWAY_DEFAULT_WINDOW", "30", "P30D"),
        ("GATEWAY_DEFAULT_WINDOW", "PT0S", "PT1S"),
        ("GATEWAY_DEFAULT_WINDOW", "P30X", ": must be an ISO 8601 duration such as P30D or PT12H."),
        ("GATEWAY_DEFAULT_WINDOW", "12:00:00", ": must be an ISO 8601 duration such as P30D or PT12H."),
        ("GATEWAY_CURSOR_SECRET", "too-short", "32 characters"),
        ("GATEWAY_CURSOR_SECRET", f"{SECRET},short", "32 characters"),
        ("GATEWAY_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("GATEWAY_CORS_ORIGINS", "example.com", "https://app.example.com"),
        ("GATEWAY_CORS_ORIGINS", "https://example.com/path", "without a path"),
        ("GATEWAY_REDIS_URL", "localhost:6379", "redis://localhost:6379/0"),
        ("GATEWAY_REDIS_URL", "http://u:hunter2@host", "redis://"),
        ("GATEWAY_REDIS_URL", "redis://u:[hunter2]@host", "redis://"),
        ("GATEWAY_SOURCE_CONCURRENCY", "0", ""),
        ("GATEWAY_SOURCE_RATE", "-1", ""),
        ("GATEWAY_RATE", "many", ""),
        ("GATEWAY_RATE", "0/minute", ""),
        ("GATEWAY_RATE", "5/fortnight", ""),
        ("GATEWAY_MAX_IN_FLIGHT", "0", ""),
        ("GATEWAY_PSEUDONYMIZE", "perhaps", "must be true or false"),
        ("GATEWAY_IDENTITY_SECRET", "hunter2", ""),
    ],
)
def test_an_invalid_setting_is_named_without_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load_configuration()
    assert caught.value.detail.startswith(f"{variable}: ")
    assert message in caught.value.detail
    if variable == "GATEWAY_CURSOR_SECRET":
        assert value not in caught.value.detail
    assert "hunter2" not in caught.value.detail
    assert caught.value.__cause__ is None, "the validation error quotes the value"


def test_a_missing_cursor_secret_is_generated_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = load_configuration(), load_configuration()
    assert first.settings.cursor_secrets != second.settings.cursor_secrets
    assert len(first.settings.cursor_secrets[0]) >= 32
    assert any("GATEWAY_CURSOR_SECRET" in warning for warning in first.warnings)
    monkeypatch.setenv("GATEWAY_REDIS_URL", "redis://localhost")
    assert any("GATEWAY_REDIS_URL" in warning for warning in load_configuration().warnings), "replicas need one secret"
    monkeypatch.setenv("GATEWAY_CURSOR_SECRET", f" {SECRET} ,{SECRET}2")
    found = load_configuration()
    assert (found.settings.cursor_secrets, found.warnings) == ((SECRET, f"{SECRET}2"), ())


def test_a_repr_contains_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_CURSOR_SECRET", SECRET)
    monkeypatch.setenv("GATEWAY_REDIS_URL", "redis://user:hunter2@localhost")
    monkeypatch.setenv("TAKTIKAL_API_KEY", "hunter2")
    found = load_configuration()
    for shown in (repr(found), str(found), repr(found.settings), str(found.settings)):
        assert SECRET not in shown
        assert "hunter2" not in shown


def test_an_unknown_variable_gets_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_DEADLIN", "5")
    monkeypatch.setenv("GATEWAY_WORKERS", "2")
    monkeypatch.setenv("GATEWAY_CONFIG", "")
    found = load_configuration()
    assert "GATEWAY_DEADLIN is not a setting and is ignored; did you mean GATEWAY_DEADLINE?" in found.warnings
    assert "GATEWAY_WORKERS is not a setting and is ignored." in found.warnings


def test_gateway_config_names_the_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / "other.toml").write_text('[gateway]\ndefault_window = "P7D"\ncors_origins = ["https://a.example"]\n')
    monkeypatch.setenv("GATEWAY_CONFIG", "other.toml")
    settings = load_configuration().settings
    assert settings.default_window == timedelta(days=7)
    assert settings.cors_origins == ("https://a.example",)


def test_pseudonyms_use_their_own_secret_or_that_of_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PSEUDONYMIZE", "true")
    default = load_configuration(env_file=None)
    assert any("GATEWAY_IDENTITY_SECRET" in warning for warning in default.warnings)
    monkeypatch.setenv("GATEWAY_CURSOR_SECRET", f"{'c' * 32},{'d' * 32}")
    cursors = load_configuration(env_file=None)
    assert not any("GATEWAY_IDENTITY_SECRET" in warning for warning in cursors.warnings)
    monkeypatch.setenv("GATEWAY_IDENTITY_SECRET", "i" * 32)
    own = load_configuration(env_file=None)
    monkeypatch.setenv("GATEWAY_CURSOR_SECRET", "e" * 32)
    rotated = load_configuration(env_file=None)
    made = [each.settings.pseudonyms.of("anna@example.com") for each in (default, cursors, own, rotated)]
    assert len(set(made)) == 3
    assert made[2] == made[3], "a new cursor secret does not change pseudonyms"


@pytest.mark.parametrize(
    ("old", "value", "field"),
    [
        ("GATEWAY_DRAIN", "7", "shutdown_grace"),
        ("GATEWAY_MASK_IDENTITY", "true", "pseudonymize"),
        ("GATEWAY_PAGE_CACHE", "9", "page_cache_ttl"),
    ],
)
def test_names_of_the_last_release_work_with_a_warning(
    clean: Path, monkeypatch: pytest.MonkeyPatch, old: str, value: str, field: str
) -> None:
    in_the_file = load_toml(clean, f"[gateway]\n{old.removeprefix('GATEWAY_').lower()} = {value}\n")
    monkeypatch.setenv(old, value)
    found = load_configuration(env_file=None)
    for each in (found, in_the_file):
        assert str(getattr(each.settings, field)) in (value, f"{value}.0", value.title())
        assert any("works in this release only" in warning for warning in each.warnings), each.warnings
    assert f"{old} is now GATEWAY_{field.upper()}; the old name works in this release only" in found.warnings
    monkeypatch.setenv(f"GATEWAY_{field.upper()}", "0")
    assert getattr(load_configuration(env_file=None).settings, field) == 0, "the new name takes precedence"


def test_a_removed_setting_is_named(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_HEAD_TIMEOUT", "10")
    gone = "GATEWAY_HEAD_TIMEOUT is no longer a setting and has no effect; remove it"
    assert gone in load_configuration(env_file=None).warnings
    assert any(
        warning.startswith("head_timeout") for warning in load_toml(clean, "[gateway]\nhead_timeout = 1").warnings
    )


def test_a_source_accepts_names_of_the_last_release(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY": "a", "SECRET_KEY": "ab", "SKEW": "77"}.items():
        monkeypatch.setenv(f"SUBNOTO_{name}", value)
    table = '[[sources]]\nname = "t"\nprovider = "taktikal"\ncompany_key = "c"\napi_key = "k"\nlogs = "whole"\n'
    configuration = load_toml(clean, table)
    taktikal, subnoto = sorted(build_sources(configuration), key=lambda source: source.name)[::-1]
    assert (taktikal.describe()["logs"], subnoto.describe()["skew_seconds"]) == ("whole", 77)
    warnings = configuration.warnings
    assert "SUBNOTO_SKEW is now SUBNOTO_MAX_TIME_SKEW; the old name works in this release only" in warnings
    assert "[[sources]] t: logs is now log_mode; the old name works in this release only" in warnings


# ---- the TOML file ---------------------------------------------------------------------------------------------------


def test_sources_come_from_the_toml_file(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORTH_KEY", "from-variable")
    (clean / "key").write_text("from-file\n")
    found = load_toml(
        clean,
        '[[sources]]\nname = "north"\nprovider = "acme"\ntoken_env = "NORTH_KEY"\nsettle = 5\n'
        f'[[sources]]\nname = "south"\nprovider = "acme"\ntoken_file = "{clean / "key"}"\n',
    )
    assert found.tables == (
        {"name": "north", "provider": "acme", "token": "from-variable", "settle": 5},
        {"name": "south", "provider": "acme", "token": "from-file"},
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_byte_order_marks_line_ends_and_quotes_are_removed(
    clean: Path, monkeypatch: pytest.MonkeyPatch, mark: str, newline: str, quote: str
) -> None:
    """Blanks, too: none of them is part of a setting or of a secret."""
    quoted = f'{quote}a secret"s value{quote}'
    for name, lines in {
        "key": [quoted, ""],
        ".env": [f"GATEWAY_SCAN={quote}7{quote}", "# a comment"],
        "gateway.toml": [
            "[gateway]", "settle = 3", "[[sources]]", 'name = "north"', 'a_env = "NORTH_KEY"', 'b_file = "key"',
        ],
    }.items():  # fmt: skip
        (clean / name).write_bytes((mark + newline.join(lines)).encode())
    monkeypatch.setenv("NORTH_KEY", f" {quoted} ")
    monkeypatch.setenv("GATEWAY_RATE", f"{quote}9/hour{quote}{newline}")
    found = load_configuration(Path("gateway.toml"))
    assert found.tables == ({"name": "north", "a": 'a secret"s value', "b": 'a secret"s value'},)
    assert (found.settings.scan, found.settings.settle, found.settings.rate) == (7, 3, "9/hour")


@pytest.mark.parametrize("where", ["environment", "tables"])
def test_an_account_configured_twice_gets_a_warning(clean: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    table = '[[sources]]\nname = "{}"\nprovider = "taktikal"\ncompany_key = "c"\napi_key = "{}"\n'
    tables = [table.format("north", "hunter2"), table.format("south", "another")]
    if where == "environment":
        monkeypatch.setenv("TAKTIKAL_COMPANY_KEY", "c")
        monkeypatch.setenv("TAKTIKAL_API_KEY", "hunter2")
        first, second = "TAKTIKAL_COMPANY_KEY and TAKTIKAL_API_KEY", "[[sources]] north"
    else:
        tables.append(table.format("again", "hunter2"))
        first, second = "[[sources]] north", "[[sources]] again"
    warnings = load_toml(clean, "".join(tables)).warnings
    found = [warning for warning in warnings if "same account" in warning]
    assert found == [
        f"{first} and {second} configure the same account: each of its events comes twice; remove one of them"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gateway]\ndeadlin = 5", "deadlin is not a setting; did you mean deadline?"),
        ("[gatway]\n", "gatway is not a setting; did you mean gateway?"),
        ("bogus = 1", "bogus is not a setting; there are gateway, sources."),
        ("[gateway]\nscan = 0", "gateway.scan (in the TOML file): must be greater than or equal to 1"),
        ("gateway = 1", "[gateway]"),
        ("sources = 1", "[[sources]]"),
        ("[gateway\n", "no TOML file"),
        ('[[sources]]\nname = "n"\ntoken_env = "NOT_SET"', "token_env names the variable NOT_SET"),
        ('[[sources]]\nname = "n"\ntoken_file = "/not/there"', "token_file: /not/there cannot be read"),
        ('[[sources]]\nname = "n"\ntoken = "x"\ntoken_file = "/etc/hostname"', "token is given twice"),
        ('[[sources]]\nname = "n"\ntoken_env = 5', "token_env must be text"),
    ],
)
def test_an_invalid_toml_file_is_named_with_the_place(clean: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TOML|gateway\.toml|sources") as caught:
        load_toml(clean, text)
    assert message in caught.value.detail


def test_an_unreadable_configuration_file_is_named(clean: Path) -> None:
    os.mkfifo(clean / "fifo")
    for name, reason in (("absent.toml", "No such file"), ("fifo", "not a regular file"), ("", "not a regular file")):
        with pytest.raises(ConfigurationError, match=f"GATEWAY_CONFIG / --config: .*{reason}"):
            load_configuration(clean / name)
    with pytest.raises(ConfigurationError, match=r"token_file: .*not a regular file"):
        load_toml(clean, f'[[sources]]\nname = "n"\ntoken_file = "{clean / "fifo"}"')


def test_the_sandbox_ignores_configured_sources(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is public, so it must never serve a real account."""
    monkeypatch.setenv("TAKTIKAL_API_KEY", "real")
    file = clean / "gateway.toml"
    file.write_text('[gateway]\nscan = 7\n[[sources]]\nname = "real"\nprovider = "acme"\n')
    found = load_configuration(file, sandbox_environment={"ACME_TOKEN": "emulated"})
    assert found.sandbox
    assert found.tables == ()
    assert dict(found.environment) == {"ACME_TOKEN": "emulated"}
    assert found.settings.scan == 7
