"""What the tests of the terminal client share: emulators, a gateway that serves them, and both ways to ask."""

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
from tests.process import COMMAND, environment, popen_class, serving

EVENTS = 2100  #: more than two pages of an export
DAYS = 60


@dataclass(frozen=True)
class Served:
    """`over_http` and `in_process`: the variables with which a command reads the same emulators in either way. The
    emulators go on growing: what is compared must have an `until`, such as this one."""

    url: str
    key: str
    over_http: Mapping[str, str]
    in_process: Mapping[str, str]
    until: str
    _walked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def get(self, path: str, **parameters: Any) -> Any:
        answer = httpx.get(
            f"{self.url}{path}", params=parameters, headers={"Authorization": f"Bearer {self.key}"}, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def walk(self, **parameters: Any) -> list[dict[str, Any]]:
        """All events up to `until`, in pages of an odd size, straight from the API; asked for once."""
        asked = repr(sorted(parameters.items()))
        if asked not in self._walked:
            self._walked[asked] = self._walk(**parameters)
        return self._walked[asked]

    def _walk(self, **parameters: Any) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        page = self.get("/events", limit=487, **{"until": self.until, **parameters})
        while True:
            events += page["data"]
            if not page["page"]["has_more"]:
                return events
            page = self.get("/events", limit=487, cursor=page["page"]["next_cursor"])


@contextmanager
def served(folder: Path) -> Iterator[Served]:
    # The accounts are real ones to this gateway, and so it makes a key, which it prints.
    with start_sandbox(events=EVENTS, days=DAYS, seed=5) as sandbox, serving(cwd=folder, env=sandbox.env) as gateway:
        found = re.search(r"Bearer ([^']+)'", gateway.greeting)
        assert found is not None
        yield Served(
            gateway.url,
            found[1],
            {"GATEWAY_URL": gateway.url, "GATEWAY_KEY": found[1]},
            dict(sandbox.env),
            f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        )


def call(*arguments: str, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """As `tests.process.run`, in this process: a hundred calls do not have to wait for a hundred starts."""
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


def on_a_terminal(*arguments: str, env: Mapping[str, str], cwd: Path, columns: int = 80) -> tuple[int, str]:
    """Run the command on a pseudo-terminal of this width: the exit code, and all that it showed."""
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
            more = os.read(master, 65_536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not more:
            break
        shown += more
    os.close(master)
    return process.wait(timeout=60), shown.decode().replace("\r\n", "\n")


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
