"""Emulators, a gateway that serves them, and runners of commands."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from app.cli.main import main
from sandbox.launcher import start_sandbox
from tests.process import COMMAND, environment, popen_class, read_all_events, serving

EVENTS = 2100  #: more than two pages of an export
DAYS = 60


@dataclass(frozen=True)
class World:
    """`over_http` and `in_process` are the environments of commands that query the gateway, and that read its accounts
    directly. The histories keep growing: comparisons need an `until`, such as this one."""

    url: str
    key: str
    over_http: Mapping[str, str]
    in_process: Mapping[str, str]
    until: str
    _walked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def get(self, path: str, **parameters: Any) -> Any:
        response = httpx.get(
            f"{self.url}{path}", params=parameters, headers={"Authorization": f"Bearer {self.key}"}, timeout=60
        )
        assert response.status_code == 200, response.text
        return response.json()

    def walk(self, **parameters: Any) -> list[dict[str, Any]]:
        """Return all events up to `until` from the API, in pages of an odd size. Cached."""
        query = repr(sorted(parameters.items()))
        if query not in self._walked:
            given = {"until": self.until, **parameters}
            self._walked[query] = read_all_events(self.url, given, self.key, limit=487)
        return self._walked[query]


@contextmanager
def serve_world(folder: Path) -> Iterator[World]:
    # Without API keys, a gateway of configured accounts prints a temporary one.
    with start_sandbox(events=EVENTS, days=DAYS, seed=5) as sandbox, serving(cwd=folder, env=sandbox.env) as gateway:
        found = re.search(r"Bearer ([^']+)'", gateway.greeting)
        assert found is not None
        yield World(
            gateway.url,
            found[1],
            {"GATEWAY_URL": gateway.url, "GATEWAY_KEY": found[1]},
            dict(sandbox.env),
            f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        )


def call(*arguments: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command like `tests.process.run`, but in this process, which saves the start."""
    out, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with (
        patch.dict(os.environ, environment(env), clear=True),
        patch.object(sys, "argv", ["audit-gateway", *arguments]),
        redirect_stdout(out),
        redirect_stderr(errors),
        chdir(cwd),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    texts = []
    for stream in (out, errors):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        texts.append(stream.buffer.getvalue().decode())
    code = ended.value.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, *texts)


def run_on_terminal(*arguments: str, env: Mapping[str, str], cwd: Path, columns: int = 80) -> tuple[int, str]:
    """Run the command on a pseudo-terminal of this width; return the exit code and the output."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = environment({"TERM": "xterm-256color", **env})
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        if name not in env:
            variables.pop(name, None)
    process = popen_class(env)(
        [COMMAND, *arguments], env=variables, cwd=cwd, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # how Linux reports that the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")


def strip_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
