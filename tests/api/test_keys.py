"""API keys: creation, storage, lookup; and access without one."""

import asyncio
import io
import json
import os
import stat
import threading
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from app.api import api_keys
from app.api.api_keys import ApiKey, Keyring, append_key, hash_of, make_api_key, new_key, read_keys, sandbox_key
from app.api.auth import Authenticator, require_loopback
from app.cli import keys as commands
from app.domain.caller import SCOPES, Caller
from app.domain.errors import ConfigurationError, Forbidden, Unauthenticated
from app.domain.times import parse_rfc3339
from app.providers.http.network import is_loopback
from tests.api.server import http_scope
from tests.logged import logged

KEY = "agw_" + "k" * 43


def request(headers: dict[str, str], server: tuple[str, int] | None = ("127.0.0.1", 8000)) -> Request:
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request(http_scope("/events") | {"server": server, "headers": encoded})


def test_new_keys_are_long_and_unique() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(key.startswith("agw_") and len(key) == 47 for key in made)


def make_key(name: str, scopes: str, file: Path, **options: str) -> str:
    """Return the key that `audit-gateway keys new` prints."""
    with redirect_stdout(io.TextIOWrapper(io.BytesIO())) as printed:
        commands.make_key(name, scopes, file, **options)
        printed.seek(0)
        return printed.read().rstrip("\n")


def caller_of(ring: Keyring, key: str) -> Caller:
    return asyncio.run(ring.caller(key))


def test_the_keys_file_contains_only_the_hash_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    key = make_key("reporting", "events:read, pii:read", file, sources="a,b", rate="600/minute", expires="2090-01-01")
    assert key not in file.read_text()
    assert json.loads(file.read_text()) == {
        "name": "reporting", "hash": hash_of(key), "scopes": ["events:read", "pii:read"], "sources": ["a", "b"],
        "rate": "600/minute", "expires": "2090-01-01T00:00:00Z",
    }  # fmt: skip
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    caller = caller_of(Keyring(file=file), key)
    assert (caller.name, caller.scopes, caller.sources) == ("reporting", {"events:read", "pii:read"}, {"a", "b"})


def test_a_key_is_appended_after_an_unterminated_line(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(sandbox_key().line())
    append_key(file, ApiKey("second", hash_of("2"), frozenset(SCOPES)))
    assert [key.name for key in read_keys(file.read_text(), "file")] == ["sandbox", "second"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "--name"),
        ({"scopes": "events:write"}, "--scopes has 'events:write'"),
        ({"scopes": ","}, "--scopes must be"),
        ({"sources": ","}, "--sources must be"),
        ({"rate": "many"}, "--rate must be such as 600/minute"),
        ({"expires": "tomorrow"}, "--expires must be"),
        ({"expires": "2001-01-01"}, "--expires lies in the past"),
        ({"file": "/not/there/keys"}, "--file: /not/there/keys cannot be written"),
    ],
)
def test_a_wrong_argument_writes_nothing(tmp_path: Path, arguments: dict[str, str], message: str) -> None:
    file = tmp_path / "keys.jsonl"
    complete = {"name": "n", "scopes": "events:read", "file": file, **arguments}
    with pytest.raises(ConfigurationError) as caught:
        make_key(**{**complete, "file": Path(complete["file"])})  # type: ignore[arg-type]
    assert message in caught.value.detail
    assert not file.exists()


def test_a_variable_contains_one_key_per_line() -> None:
    keys = [
        ApiKey("a", hash_of(KEY), frozenset({"events:read", "pii:read"})),
        ApiKey("c", hash_of(KEY), frozenset({"raw:read"}), frozenset({"x"})),
    ]
    text = f"{keys[0].line()}\n# a comment\n\n  {keys[1].line()}\n"
    assert read_keys(text, "GATEWAY_API_KEYS") == keys


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON object"),
        ('{"name":"n"}', "missing required field `hash`"),
        (
            json.dumps({"name": "n", "hash": hash_of(KEY), "scopes": ["events:read"], "source": ["a"]}),
            "unknown field `source`",
        ),
        ("[]", "no JSON object"),
        ('{"name":"n","hash":"abc","scopes":["events:read"]}', "64 lower-case hex digits"),
        (json.dumps({"name": "n", "hash": hash_of(KEY), "scopes": ["everything"]}), "'everything'"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(line: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_keys(f"\n{line}", "GATEWAY_API_KEYS")
    assert caught.value.detail.startswith("GATEWAY_API_KEYS, line 2: ")
    assert message in caught.value.detail


def test_unknown_and_expired_keys_are_refused() -> None:
    now = parse_rfc3339("2026-05-01")
    expiring = make_api_key(name="n", hash=hash_of(KEY), scopes=["events:read"], expires="2026-05-01T00:00:00Z")
    assert caller_of(Keyring([expiring], clock=lambda: now - 1), KEY).name == "n"
    with pytest.raises(Unauthenticated, match="expired"):
        caller_of(Keyring([expiring], clock=lambda: now), KEY)
    with pytest.raises(Unauthenticated, match="not known"):
        caller_of(Keyring([expiring], clock=lambda: now - 1), KEY + "x")


def holders(ring: Keyring, keys: list[str]) -> list[str]:
    """Return the names of the callers whose keys are accepted."""
    found = []
    for key in keys:
        with suppress(Unauthenticated):
            found.append(caller_of(ring, key).name)
    return found


def test_a_changed_keys_file_is_reloaded_and_an_invalid_one_ignored(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    keys = [make_key("first", "events:read", file)]
    ring = Keyring(file=file, pause=0)
    keys.append(make_key("second", "events:read", file))
    both, second = file.read_text(), file.read_text().splitlines()[1] + "\n"
    for number, (text, expected) in enumerate(
        [(both, ["first", "second"]), (second, ["second"]), ("{half", ["second"]), (None, ["second"])]
    ):
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
            os.utime(file, ns=(0, number))
        assert holders(ring, keys) == expected


def test_a_keys_file_that_becomes_readable_is_reloaded(tmp_path: Path) -> None:
    """Also if its time stamp is unchanged, as after a change of its mode; and the failure is logged once.

    Because root can read every file, the file is unreadable by its bytes, which are not UTF-8 at first.
    """
    file = tmp_path / "keys.jsonl"
    first, second = (make_key(name, "events:read", file) for name in ("first", "second"))
    ring = Keyring(file=file, pause=0)
    only_first = file.read_bytes().splitlines(keepends=True)[0]

    def write(content: bytes) -> None:
        file.write_bytes(content)
        os.utime(file, ns=(0, 1))

    with logged() as log:
        write(b"\xff" * len(only_first))
        for _ in range(3):
            assert caller_of(ring, second).name == "second"
        write(only_first)
        with pytest.raises(Unauthenticated):
            caller_of(ring, second)
    assert caller_of(ring, first).name == "first"
    assert log.getvalue().count("keys_file_unreadable") == 1


def test_a_missing_keys_file_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"GATEWAY_API_KEYS_FILE: .*audit-gateway keys new"):
        Keyring(file=tmp_path / "absent")


def keys_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.jsonl"
    append_key(file, make_api_key(name="siem", hash=hash_of("k"), scopes=["events:read"]))
    return file


async def test_a_hung_file_system_keeps_the_last_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring(file=keys_file(tmp_path), pause=0)
    released, checks = threading.Event(), []

    def hang(file: Path) -> Any:
        checks.append(threading.current_thread().daemon)
        released.wait(60)
        return 0, 0, 0

    monkeypatch.setattr(api_keys, "_stamp", hang)
    with capture_logs() as logs:
        assert [(await ring.caller("k")).name for _ in range(50)] == ["siem"] * 50
    assert checks == [True], "one daemon thread hangs; no call starts another"
    assert [line["event"] for line in logs] == ["keys_file_hangs"]
    released.set()


async def test_a_fifo_is_named_and_never_opened(tmp_path: Path) -> None:
    file = keys_file(tmp_path)
    ring = Keyring(file=file)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ConfigurationError, match="not a regular file"):
        Keyring(file=file)
    with capture_logs() as logs:
        assert (await ring.caller("k")).name == "siem"
    assert "not a regular file" in logs[0]["problem"]


async def test_a_keys_file_may_have_a_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    file = keys_file(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"  \r\n"))
    assert (await Keyring(file=file).caller("k")).name == "siem"
    line = make_api_key(name="a", hash=hash_of("k"), scopes=["events:read"]).line()
    assert api_keys.read_keys(f"\ufeff{line} \r\n", "GATEWAY_API_KEYS")[0].name == "a"


async def test_headers_that_may_contain_a_key() -> None:
    authenticator = Authenticator(Keyring([make_api_key(name="n", hash=hash_of(KEY), scopes=["events:read"])]))
    for headers in (
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"bearer   {KEY} "},
        {"X-API-Key": KEY},
        {"Authorization": "Basic dTpw", "X-API-Key": KEY},
    ):
        assert (await authenticator.identify(request(headers))).name == "n"
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Basic {KEY}"}, {"X-API-Key": " "}):
        with pytest.raises(Unauthenticated, match="Authorization: Bearer KEY"):
            await authenticator.identify(request(headers))


async def test_without_authentication_everything_is_allowed_on_loopback() -> None:
    caller = await Authenticator(None).identify(request({"Host": "localhost:8000"}))
    assert caller.scopes == set(SCOPES)
    assert (await Authenticator(None).identify(request({"Host": "[::1]:8000"}, ("::1", 8000)))).sources is None
    assert (await Authenticator(None).identify(request({"Host": "testserver"}, ("testserver", 80)))).name == "anonymous"


async def test_without_authentication_other_hosts_are_refused() -> None:
    for host, server in (("10.0.0.5:8000", ("10.0.0.5", 8000)), ("rebound.example.com", ("127.0.0.1", 8000))):
        with pytest.raises(Forbidden, match="GATEWAY_AUTH is off"):
            await Authenticator(None).identify(request({"Host": host}, server))


def test_auth_off_requires_a_loopback_host() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"):
        assert is_loopback(host)
        require_loopback(host)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com"):
        with pytest.raises(ConfigurationError, match="GATEWAY_AUTH=off is refused"):
            require_loopback(host)
