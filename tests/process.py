"""The installed command as a separate process."""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.forkserver import INTERPRETER, Forked

COMMAND = str(Path(sys.executable).with_name("audit-gateway"))
START = 60  #: seconds that a server may take to come up on a busy machine


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without settings of the machine that runs the tests."""
    prefixes = ("GATEWAY_", "TAKTIKAL_", "SUBNOTO_", "ACME_", "_AUDIT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | {"GATEWAY_SHUTDOWN_GRACE": "0", **INTERPRETER} | dict(extra or {})


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends."""
    with start(*arguments, env=env, cwd=cwd, text=True) as process:
        out, errors = process.communicate(timeout=START)
    return subprocess.CompletedProcess(arguments, process.returncode, out, errors)


def start(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path, **options: Any) -> subprocess.Popen[Any]:
    """Start the command. Output and errors are pipes unless `options` of `Popen` replace them."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return popen_class(env)([COMMAND, *arguments], env=environment(env), cwd=cwd, **{**pipes, **options})


def popen_class(env: Mapping[str, str] | None) -> type[subprocess.Popen[Any]]:
    """Return `Forked` on Linux, unless `env` has variables that an interpreter reads at its start."""
    is_forked = sys.platform == "linux" and not any(name.startswith("PYTHON") for name in env or {})
    return Forked if is_forked else subprocess.Popen


@dataclass
class Running:
    """A listening server. `greeting` is its output at start; `stop` ends it and sets `code`."""

    process: subprocess.Popen[bytes]
    greeting: str
    errors: Path
    code: int | None = None
    url: str = field(init=False)

    def __post_init__(self) -> None:
        found = re.search(r"Audit gateway on (\S+)", self.greeting)
        assert found is not None
        self.url = found[1]

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.code is None:
            self.process.send_signal(number)
            self.code = self.process.wait(timeout=30)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.errors.read_text().splitlines()]

    def assert_clean_end(self) -> None:
        assert self.code == 0
        assert "Traceback" not in self.errors.read_text()


def read_all_events(url: str, query: Any = None, key: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """Return the events of all pages of the gateway at `url`."""
    events: list[dict[str, Any]] = []
    params = httpx.QueryParams(query)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    while True:
        response = httpx.get(f"{url}/events", params=params.set("limit", limit), headers=headers, timeout=60)
        assert response.status_code == 200, response.text
        page = response.json()
        events += page["data"]
        if page["page"]["next_cursor"] is None:
            return events
        params = httpx.QueryParams(cursor=page["page"]["next_cursor"])


@contextmanager
def serving(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, port: int = 0, command: Sequence[str] = (COMMAND,)
) -> Iterator[Running]:
    """Run `audit-gateway serve` with these arguments, on a free port, until the block ends. `command` replaces
    `audit-gateway`, which is then not forked."""
    errors = cwd / "stderr.log"
    kind = popen_class(env) if tuple(command) == (COMMAND,) else subprocess.Popen
    with (
        errors.open("wb") as stderr,
        kind(
            [*command, "serve", "--port", str(port), *arguments],
            env=environment(env),
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        try:
            running = Running(process, _greeting(process, errors), errors)
            try:
                yield running
            finally:
                running.stop()
        finally:
            process.kill()  # if it did not start, or does not stop


def _greeting(process: subprocess.Popen[bytes], errors: Path) -> str:
    """Return the output up to the line with the URL of the documentation. Raise AssertionError if the process ends
    before it."""
    text = b""
    deadline = time.monotonic() + START
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while b"/docs\n" not in text:
            if selector.select(timeout=max(0.0, deadline - time.monotonic())):
                more = os.read(process.stdout.fileno(), 65_536)
                if more:
                    text += more
                    continue
            raise AssertionError(f"the server does not start: {text!r}\n{errors.read_text()}")
    return text.decode()
