"""The keys file on a file system that hangs, as a FIFO, and as Windows editors write it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.api import api_keys
from app.api.api_keys import Keyring, append_key, hash_of, make_api_key
from app.domain.errors import ConfigurationError


def keys_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.jsonl"
    append_key(file, make_api_key(name="siem", hash=hash_of("k"), scopes=["events:read"]))
    return file


@pytest.mark.anyio
async def test_a_hung_file_system_keeps_the_last_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring(file=keys_file(tmp_path), pause=0)
    answer, looks = threading.Event(), []

    def hang(file: Path) -> Any:
        looks.append(threading.current_thread().daemon)
        answer.wait(60)
        return 0, 0, 0

    monkeypatch.setattr(api_keys, "_stamp", hang)
    with capture_logs() as logs:
        assert [(await ring.caller("k")).name for _ in range(50)] == ["siem"] * 50
    assert looks == [True], "one look hangs, which no end of the process waits for; no call adds another"
    assert [line["event"] for line in logs] == ["keys_file_hangs"]
    answer.set()


@pytest.mark.anyio
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


@pytest.mark.anyio
async def test_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    file = keys_file(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"  \r\n"))
    assert (await Keyring(file=file).caller("k")).name == "siem"
    line = make_api_key(name="a", hash=hash_of("k"), scopes=["events:read"]).line()
    assert api_keys.read_keys(f"\ufeff{line} \r\n", "GATEWAY_API_KEYS")[0].name == "a"
