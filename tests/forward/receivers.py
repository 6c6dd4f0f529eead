"""Receivers: a webhook verified by the `standardwebhooks` library, a Splunk collector as strict as its manual, and a
real rsyslog. Each records the accepted batches, and can be made to fail."""

import json
import random
import shutil
import socket
import ssl
import subprocess
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import trustme
from standardwebhooks import Webhook

from tests.listening import listening
from tests.operations.nginx import is_open
from tests.waiting import wait_until

SECRET = "whsec_" + "c2VjcmV0" * 4
TOKEN = "0c0ffee0-1111-2222-3333-444455556666"


@dataclass
class Accepted:
    """The accepted batches of a receiver. `faults` of its next requests: a status, `cut` (nothing is accepted and the
    connection closed) or `lost` (accepted, and the response lost)."""

    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[int | str] = field(default_factory=deque)
    headers: dict[str, str] = field(default_factory=dict)
    largest: int = 1 << 30  #: bytes of a body; more is 413
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for batch in list(self.batches) for event in batch]

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    accepted: ClassVar[Accepted]

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.accepted.lock:
            self.accepted.requests.append({"path": self.path, **{n.lower(): v for n, v in self.headers.items()}})
            fault = self.accepted.faults.popleft() if self.accepted.faults else None
            if len(body) > self.accepted.largest:
                fault = 413
            if isinstance(fault, int):
                self._respond(fault, {"text": "no", "code": 9})
                return
            if fault != "cut":
                status, content = self.take(body)
            if fault is not None:
                self.close_connection = True
                return
            self._respond(status, content)

    def take(self, body: bytes) -> tuple[int, Any]:
        raise NotImplementedError

    def _respond(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in self.accepted.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class WebhookHandler(_Handler):
    def take(self, body: bytes) -> tuple[int, Any]:
        Webhook(SECRET).verify(body, dict(self.headers), json_parse=False)
        if self.headers["Content-Type"] == "application/cloudevents-batch+json":
            found = json.loads(body)
            assert all(event["specversion"] == "1.0" for event in found)
            self.accepted.batches.append([event["data"] for event in found])
        else:
            assert self.headers["Content-Type"] == "application/x-ndjson"
            self.accepted.batches.append([json.loads(line) for line in body.splitlines()])
        return 200, {}


class SplunkHandler(_Handler):
    """Follows "Troubleshoot HTTP Event Collector" and "About HTTP Event Collector Indexer Acknowledgment".

    A batch is accepted once it is acknowledged, after `acknowledges` requests for it."""

    acknowledges: ClassVar[int | None]
    waiting: ClassVar[dict[str, dict[int, list[Any]]]]

    def take(self, body: bytes) -> tuple[int, Any]:
        authorization = self.headers.get("Authorization")
        if authorization is None:
            return 401, {"text": "Token is required", "code": 2}
        if not authorization.startswith("Splunk "):
            return 401, {"text": "Invalid authorization", "code": 3}
        if authorization != f"Splunk {TOKEN}":
            return 403, {"text": "Invalid token", "code": 4}
        parts = urlsplit(self.path)
        channel = self.headers.get("X-Splunk-Request-Channel") or parse_qs(parts.query).get("channel", [""])[0]
        if self.acknowledges is not None:
            if not channel:
                return 400, {"text": "Data channel is missing", "code": 10}
            uuid.UUID(channel)
        if parts.path == "/services/collector/ack":
            return self._acknowledge(channel, json.loads(body))
        assert parts.path == "/services/collector/event", parts.path
        if not body:
            return 400, {"text": "No data", "code": 5}
        found, text, decoder = [], body.decode(), json.JSONDecoder()
        while text:
            outer, end = decoder.raw_decode(text)
            text = text[end:].lstrip()
            if set(outer) - {"time", "host", "source", "sourcetype", "index", "event", "fields"}:
                return 400, {"text": "Invalid data format", "code": 6, "invalid-event-number": len(found)}
            if "event" not in outer:
                return 400, {"text": "Event field is required", "code": 12, "invalid-event-number": len(found)}
            if outer["event"] in ("", None):
                return 400, {"text": "Event field cannot be blank", "code": 13, "invalid-event-number": len(found)}
            assert isinstance(outer["time"], float | int)
            found.append(outer)
        events = [{**outer["event"], "outer": outer} for outer in found]
        if self.acknowledges is None:
            self.accepted.batches.append(events)
            return 200, {"text": "Success", "code": 0}
        of_channel = self.waiting.setdefault(channel, {})
        number = len(of_channel)
        of_channel[number] = [self.acknowledges, events]
        return 200, {"text": "Success", "code": 0, "ackId": number}

    def _acknowledge(self, channel: str, body: Any) -> tuple[int, Any]:
        if self.acknowledges is None:
            return 400, {"text": "ACK is disabled", "code": 14}
        acks = {}
        for number in body["acks"]:
            entry = self.waiting.get(channel, {}).get(number)
            acks[str(number)] = entry is not None and entry[0] == 0
            if entry is not None:
                if entry[0] == 0:
                    self.accepted.batches.append(entry[1])
                entry[0] -= 1
        return 200, {"acks": acks}


@contextmanager
def receiving(
    kind: type[_Handler], *, acknowledges: int | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, Accepted]]:
    """Serve on a free port; yield `HOST:PORT` and the accepted batches."""
    accepted = Accepted()
    members = {"accepted": accepted, "acknowledges": acknowledges, "waiting": {}}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (kind,), members))
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused batch is retried
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with listening(server) as address:
        yield address, accepted


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write PEM files of a certificate for 127.0.0.1 with its authority's, and of its key."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    pem, key = folder / "receiver.pem", folder / "receiver.key"
    pem.write_bytes(b"".join(blob.bytes() for blob in (*made.cert_chain_pems, authority.cert_pem)))
    made.private_key_pem.write_to_path(str(key))
    return pem, key


_RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="256k"
       defaultNetstreamDriverCAFile="{pem}" defaultNetstreamDriverCertFile="{pem}"
       defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp")
template(name="line" type="string" string="%syslogfacility-text%.%syslogseverity-text% %protocol-version% \
%timereported:::date-rfc3339% %app-name% %procid% %msgid% %structured-data% %msg%\\n")
ruleset(name="file") {{ action(type="omfile" file="{folder}/log" template="line") }}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="file" {tls})
"""
_TLS = 'streamDriver.name="{driver}" streamDriver.mode="1" streamDriver.authMode="anon"'


def lacks_rsyslog(driver: str | None) -> str | None:
    """Return the package that rsyslogd needs for this TLS driver; None if it is installed."""
    if shutil.which("rsyslogd") is None:
        return "rsyslog"
    if driver is None or any(Path("/usr").glob(f"lib*/**/rsyslog/lmnsd_{driver}.so")):
        return None
    return {"ossl": "rsyslog-openssl", "gtls": "rsyslog-gnutls"}[driver]


@dataclass
class Rsyslog:
    """rsyslogd in its own folder. It can be stopped, and started again on the same port."""

    folder: Path
    driver: str | None = None  #: of TLS: ossl or gtls
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        pem, key = self.folder / "receiver.pem", self.folder / "receiver.key"
        if not pem.exists():
            certificate(self.folder)
        while not self.port:
            # Outside of the range that the system assigns to clients, as rsyslogd is stopped at times.
            with suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 32_000))) as free:
                self.port = free.getsockname()[1]
        settings = {"folder": self.folder, "pem": pem, "key": key, "port": self.port, "tls": ""}
        if self.driver is not None:
            settings["tls"] = _TLS.format(driver=self.driver)
        (self.folder / "rsyslog.conf").write_text(_RSYSLOG.format(**settings))
        command = ["rsyslogd", "-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "pid")]
        with (self.folder / "errors").open("ab") as errors:
            self.process = subprocess.Popen(command, stderr=errors)
        try:
            wait_until(lambda: self.process is None or self.process.poll() is not None or is_open(self.port))
        except AssertionError:
            self.stop()
            raise
        assert self.process.poll() is None, (self.folder / "errors").read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            finally:
                self.process.kill()
            self.process = None

    @property
    def lines(self) -> list[list[str]]:
        """Return the fields of each line, from facility and severity to the message."""
        log = self.folder / "log"
        return [line.split(" ", 7) for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line[-1]) for line in self.lines]
