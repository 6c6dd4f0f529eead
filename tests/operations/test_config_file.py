"""The TOML file: sources and their secrets, as editors leave it, and what is said about a wrong one."""

import os
from pathlib import Path

import pytest

from app.assembly import all_warnings
from app.config import load_configuration
from app.domain.errors import ConfigurationError
from app.providers.registry import find_providers
from tests.operations.conftest import load_toml

pytestmark = pytest.mark.usefixtures("clean")


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
def test_files_and_values_as_editors_and_compose_leave_them(
    clean: Path, monkeypatch: pytest.MonkeyPatch, mark: str, newline: str, quote: str
) -> None:
    """Byte order marks, Windows line ends, blanks and quotes are no part of a setting or a secret."""
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
def test_one_account_configured_twice_is_warned_of(clean: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    table = '[[sources]]\nname = "{}"\nprovider = "taktikal"\ncompany_key = "c"\napi_key = "{}"\n'
    tables = [table.format("north", "hunter2"), table.format("south", "another")]
    if where == "environment":
        monkeypatch.setenv("TAKTIKAL_COMPANY_KEY", "c")
        monkeypatch.setenv("TAKTIKAL_API_KEY", "hunter2")
        first, second = "TAKTIKAL_COMPANY_KEY and TAKTIKAL_API_KEY", "[[sources]] north"
    else:
        tables.append(table.format("again", "hunter2"))
        first, second = "[[sources]] north", "[[sources]] again"
    warnings = all_warnings(load_toml(clean, "".join(tables)), find_providers())
    found = [warning for warning in warnings if "same account" in warning]
    assert found == [
        f"{first} and {second} configure the same account: each of its events comes twice; remove one of them"
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gateway]\ndeadlin = 5", "deadlin is not a setting; did you mean deadline?"),
        ("[gatway]\n", "gatway is not a setting; did you mean gateway?"),
        ("[gateway]\nscan = 0", "gateway.scan (in the TOML file): input should be greater than or equal to 1"),
        ("gateway = 1", "[gateway]"),
        ("sources = 1", "[[sources]]"),
        ("[gateway\n", "no TOML file"),
        ('[[sources]]\nname = "n"\ntoken_env = "NOT_SET"', "token_env names the variable NOT_SET"),
        ('[[sources]]\nname = "n"\ntoken_file = "/not/there"', "token_file: /not/there cannot be read"),
        ('[[sources]]\nname = "n"\ntoken = "x"\ntoken_file = "/etc/hostname"', "token is given twice"),
        ('[[sources]]\nname = "n"\ntoken_env = 5', "token_env must be text"),
    ],
)
def test_a_wrong_toml_file_is_an_error_naming_the_place(clean: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=r"TOML|gateway\.toml|sources") as caught:
        load_toml(clean, text)
    assert says in caught.value.detail


def test_a_configuration_file_that_cannot_be_read(clean: Path) -> None:
    os.mkfifo(clean / "fifo")
    for name, reason in (("absent.toml", "No such file"), ("fifo", "not a regular file"), ("", "not a regular file")):
        with pytest.raises(ConfigurationError, match=f"GATEWAY_CONFIG / --config: .*{reason}"):
            load_configuration(clean / name)
    with pytest.raises(ConfigurationError, match=r"token_file: .*not a regular file"):
        load_toml(clean, f'[[sources]]\nname = "n"\ntoken_file = "{clean / "fifo"}"')


def test_the_sandbox_reads_no_source_that_was_configured(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is known to everybody, so a real account must never be behind it."""
    monkeypatch.setenv("TAKTIKAL_API_KEY", "real")
    file = clean / "gateway.toml"
    file.write_text('[gateway]\nscan = 7\n[[sources]]\nname = "real"\nprovider = "acme"\n')
    found = load_configuration(file, sandbox_environment={"ACME_TOKEN": "emulated"})
    assert found.sandbox
    assert found.tables == ()
    assert dict(found.environment) == {"ACME_TOKEN": "emulated"}
    assert found.settings.scan == 7
