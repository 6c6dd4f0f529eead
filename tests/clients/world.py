"""A gateway over the emulators, a proxy with faults, and a gateway of a later version."""

import json
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx

from sandbox.launcher import start_sandbox
from tests.listening import answering, send
from tests.process import Running, run, serving

SCOPES = ("events:read", "pii:read", "raw:read")
#: Types of the filtered walks: a prefix and an exact one.
FILTERED = ("recipient.", "envelope.created")

Fault = str | Callable[[], object]  #: an HTTP status, "reset", "cut", or an action before the call is passed on


@dataclass
class Gateway:
    """A gateway over the emulators that can be killed and started again on the same port."""

    folder: Path
    sources: Mapping[str, str]  #: the variables of the emulators' sources
    key: str
    url: str = ""
    since: str = ""
    until: str = ""  #: in the past, so that the window does not grow
    events: list[dict[str, Any]] = field(default_factory=list)  #: of the window, newest first, from an export
    _stack: ExitStack = field(default_factory=ExitStack)
    _running: Running | None = None

    def start(self) -> None:
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        secret = "the same secret after each restart"
        env = {**self.sources, "GATEWAY_CURSOR_SECRET": secret, "GATEWAY_API_KEYS_FILE": str(self.folder / "keys")}
        self._running = self._stack.enter_context(serving(cwd=self.folder, env=env, port=port))
        self.url = self._running.url

    def restart(self) -> None:
        assert self._running
        self._running.stop(signal.SIGKILL)
        self._stack.close()
        self.start()

    def stop(self) -> None:
        self._stack.close()

    @property
    def window(self) -> dict[str, str]:
        return {"since": self.since, "until": self.until}

    def env(self, url: str | None = None) -> dict[str, str]:
        return {"GATEWAY_URL": url or self.url, "GATEWAY_KEY": self.key}

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]

    @property
    def filtered_ids(self) -> list[str]:
        """The ids that the filtered walks select, oldest first."""
        return [event["id"] for event in reversed(self.events) if event["type"].startswith(FILTERED)]


@contextmanager
def sandbox_gateway(folder: Path) -> Iterator[Gateway]:
    now = datetime.now(UTC)
    since, until = (f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (12, 1))
    new = ("keys", "new", "--name", "clients", "--scopes", ",".join(SCOPES), "--file", "keys")
    key = run(*new, cwd=folder).stdout.strip()
    with start_sandbox() as sandbox:
        gateway = Gateway(folder, sandbox.env, key, since=since, until=until)
        try:
            gateway.start()
            headers = {"Authorization": f"Bearer {key}"}
            exported = httpx.get(f"{gateway.url}/events/export", params=gateway.window, headers=headers, timeout=60)
            *gateway.events, end = map(json.loads, exported.text.splitlines())
            assert end["complete"]
            assert len(gateway.events) > 400, "several pages"
            yield gateway
        finally:
            gateway.stop()


@dataclass(frozen=True)
class Server:
    url: str


@contextmanager
def faulty(gateway: Gateway, *faults: Fault | None) -> Iterator[Server]:
    """A proxy that answers each of its first calls with one of these faults; None forwards the call."""
    remaining = deque(faults)

    def respond(request: BaseHTTPRequestHandler, _: bytes) -> None:
        fault = remaining.popleft() if remaining else None
        if fault == "reset":
            request.connection.close()
        elif isinstance(fault, str) and fault.isdecimal():
            problem = {"type": "about:blank", "title": "Down", "status": int(fault), "code": "source_unavailable"}
            problem |= {"detail": "planted", "instance": "/", "request_id": "1", "errors": [], "sources": []}
            send(request, json.dumps(problem).encode(), int(fault), retry_after="0")
        else:
            if callable(fault):
                fault()
            headers = {"Authorization": request.headers.get("Authorization", "")}
            response = httpx.get(f"{gateway.url}{request.path}", headers=headers, timeout=60)
            body = response.content[: len(response.content) // 2] if fault == "cut" else response.content
            send(request, body, response.status_code, len(response.content), retry_after="0")
        request.close_connection = True

    with answering(respond) as address:
        yield Server(f"http://{address}")
    assert not remaining, f"unused faults: {remaining}"


@contextmanager
def later_gateway(gateway: Gateway) -> Iterator[Server]:
    """A gateway whose event has values and members that the current document does not contain."""
    event = next(event for event in gateway.events if event["delivery"])
    event = json.loads(json.dumps(event)) | {
        "type": "vault.sealed", "category": "vault", "outcome": "pending", "new": 1,
    }  # fmt: skip
    event["actor"]["kind"] = "robot"
    event["delivery"] |= {"channel": "pigeon", "status": "circling"}
    source = {"name": "vault", "provider": "vault", "status": "asleep", "reason": None, "complete_through": None}
    page = {"limit": 100, "order": "desc", "has_more": False, "next_cursor": None, "scanned_to": None, "new": {}}
    body = {"data": [event], "page": page, "window": gateway.window, "total": None, "sources": [source], "new": []}
    body["warnings"] = []
    with answering(lambda request, _: send(request, json.dumps(body).encode())) as address:
        yield Server(f"http://{address}")
