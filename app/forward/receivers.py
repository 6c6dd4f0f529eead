"""Receivers of events: webhooks signed by the Standard Webhooks scheme, Splunk's HTTP Event Collector, and syslog."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import socket
import ssl
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx

from app.domain.errors import ConfigurationError
from app.forward import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Gone, Item, Temporary, TooLarge

_MAX_ANSWER = 65_536  #: bytes read of a receiver's response
_SECRET_PREFIX = "whsec_"
MAKE_SECRET = 'make a signing key with: echo "whsec_$(openssl rand -base64 32)"'
_ACK_FIRST, _ACK_LONGEST = 0.1, 5.0  #: seconds between two polls for an acknowledgement
_ACK_TIMEOUT = 300.0  #: seconds until a batch without acknowledgement is sent again
_FACILITY = 13  # log audit
_NOTICE, _WARNING = 5, 4
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


class Poster:
    """POST to one receiver over one persistent connection, without redirects, which would receive the secrets."""

    def __init__(self, headers: Mapping[str, str], tls: ssl.SSLContext, proxy: str | None) -> None:
        timeout = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT)
        # Uncompressed responses, because a small compressed one could be large.
        plain = {**headers, "Accept-Encoding": "identity"}
        self._http = httpx.Client(headers=plain, verify=tls, timeout=timeout, proxy=proxy, trust_env=False)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the body of a 2xx response. Raises Temporary, Gone."""
        try:
            with self._http.stream("POST", url, content=body, headers=dict(headers)) as answer:
                content = b""
                for chunk in answer.iter_raw():
                    content += chunk
                    if len(content) > _MAX_ANSWER:
                        break
        except httpx.HTTPError as error:
            raise Temporary(f"no answer ({type(error).__name__})") from None
        if answer.is_success:
            return content
        if answer.status_code == 410:
            raise Gone("the receiver answered 410 Gone")
        kind = TooLarge if answer.status_code == 413 else Temporary
        code = ""
        with suppress(ValueError, AttributeError):  # only the numeric code of Splunk's manual, nothing else of the body
            if isinstance(number := json.loads(content).get("code"), int):
                code = f" with code {number}"
        wait = answer.headers.get("retry-after", "")
        seconds = min(float(wait), 3600.0) if wait.isascii() and wait.isdigit() and len(wait) < 7 else None
        raise kind(f"answered {answer.status_code}{code}", retry_after=seconds)

    def close(self) -> None:
        self._http.close()


class Webhook(Poster):
    """A receiver of CloudEvents or lines of JSON (https://www.standardwebhooks.com/).

    `secrets` are signing keys; every key signs, so that a key can be replaced without a gap.
    `form`: media type of a batch, and the bytes before, between and after its events."""

    def __init__(
        self,
        url: str,
        secrets: Sequence[bytes],
        token: str | None,
        form: tuple[str, bytes, bytes, bytes],
        tls: ssl.SSLContext,
        proxy: str | None = None,
    ) -> None:
        media_type, *self._form = form
        headers = {"Content-Type": media_type, "User-Agent": "audit-gateway-forward"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        super().__init__(headers, tls, proxy)
        self._url, self._secrets = url, secrets

    def deliver(self, items: Sequence[Item]) -> None:
        before, between, behind = self._form
        body = before + between.join(item.line for item in items) + behind
        ids = "\n".join(str(item.event["id"]) for item in items)
        # Equal for every attempt at one batch, in any process.
        message = f"msg_{hashlib.blake2b(ids.encode(), digest_size=16).hexdigest()}"
        moment = str(int(time.time()))
        signed = f"{message}.{moment}.".encode() + body
        signatures = [base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in self._secrets]
        headers = {"webhook-id": message, "webhook-timestamp": moment}
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
        self.post(self._url, body, headers)


class Splunk(Poster):
    """Splunk's HTTP Event Collector: `/services/collector/event`, and `/services/collector/ack` if the token has
    indexer acknowledgement (the response then contains `ackId`).

    Source: Splunk Enterprise, "Getting Data In", "HTTP Event Collector" and "About HTTP Event Collector Indexer
    Acknowledgment". `fields` are members of every event's envelope, such as `index`."""

    def __init__(
        self, base_url: str, token: str, fields: Mapping[str, str], tls: ssl.SSLContext, proxy: str | None
    ) -> None:
        self._base, self._fields = base_url, dict(fields)
        channel = str(uuid.uuid4())
        headers = {"Authorization": f"Splunk {token}", "X-Splunk-Request-Channel": channel}
        super().__init__({**headers, "Content-Type": "application/json"}, tls, proxy)

    def deliver(self, items: Sequence[Item]) -> None:
        """Also polls until the batch is indexed if the token has acknowledgement, for five minutes at most."""
        number = self._call("event", b"\n".join(map(self._envelope, items))).get("ackId")
        if not isinstance(number, int):
            return
        deadline, pause = time.monotonic() + _ACK_TIMEOUT, _ACK_FIRST
        question = json.dumps({"acks": [number]}).encode()
        while time.monotonic() < deadline:
            acks = self._call("ack", question).get("acks")
            if isinstance(acks, dict) and acks.get(str(number)) is True:
                return
            time.sleep(pause)
            pause = min(_ACK_LONGEST, pause * 2)
        raise Temporary("the batch was received, and not indexed within five minutes")

    def _envelope(self, item: Item) -> bytes:
        moment = datetime.fromisoformat(str(item.event["occurred_at"])).timestamp()
        source = f"audit-gateway:{item.event['source']}"
        outer = json.dumps({"time": round(moment, 6), "source": source, **self._fields})
        return outer[:-1].encode() + b', "event": ' + item.line + b"}"

    def _call(self, name: str, body: bytes) -> dict[str, Any]:
        content = self.post(f"{self._base}/services/collector/{name}", body, {})
        with suppress(ValueError):
            if isinstance(answer := json.loads(content), dict):
                return answer
        raise Temporary("the answer is not one of Splunk's HTTP Event Collector")


def signing_keys(text: str) -> list[bytes]:
    """Return the keys of FORWARD_SECRET: `whsec_` and base64 of 24 to 64 bytes; several separated by blanks.
    Raises ConfigurationError, without quoting them."""
    keys = []
    for word in text.split():
        try:
            key = base64.b64decode(word.removeprefix(_SECRET_PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not word.startswith(_SECRET_PREFIX) or not 24 <= len(key) <= 64:
            raise ConfigurationError(f"FORWARD_SECRET: a key is whsec_ and 24 to 64 bytes in base64; {MAKE_SECRET}.")
        keys.append(key)
    return keys


class Syslog:
    """A receiver of RFC 5424 messages with octet counting over TCP (RFC 6587; `tls` None) or TLS (RFC 5425).

    Syslog has no acknowledgements. Therefore each batch uses its own connection: the sender ends its side, and the
    receiver's clean close shows that it has read every byte. A receiver that is killed with unread bytes resets the
    connection, and the batch is sent again."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._hostname = _word(socket.gethostname(), 255)

    def deliver(self, items: Sequence[Item]) -> None:
        data = b"".join(map(self._frame, items))
        try:
            with socket.create_connection((self._host, self._port), CONNECT_TIMEOUT) as connection:
                connection.settimeout(ANSWER_TIMEOUT)
                if self._tls is not None:
                    with self._tls.wrap_socket(connection, server_hostname=self._host) as encrypted:
                        encrypted.sendall(data)
                        # Sends close_notify and waits for the receiver's, which RFC 5425 section 4.4 demands. rsyslog
                        # with its gtls driver ends the TCP connection instead.
                        with suppress(ssl.SSLEOFError):
                            encrypted.unwrap().close()
                    return
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        except TimeoutError:
            raise Temporary("the receiver did not end the connection after the batch") from None
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__  # of OpenSSL
            raise Temporary(f"the connection failed ({reason})") from None

    def close(self) -> None:
        pass

    def _frame(self, item: Item) -> bytes:
        event = item.event
        severity = _WARNING if event.get("outcome") == "failure" else _NOTICE
        # JSON in ASCII: a message in UTF-8 would need a byte order mark (RFC 5424 section 6.4), which breaks parsers.
        text = json.dumps(json.loads(item.line), separators=(",", ":"))
        header = (
            f"<{_FACILITY * 8 + severity}>1 {event['occurred_at']} {self._hostname} audit-gateway"
            f" {_word(event['source'], 128)} {_word(event['type'], 32)} - "
        )
        message = (header + text).encode("ascii")
        return b"%d %b" % (len(message), message)


def _word(text: object, most: int) -> str:
    """Return a header field: printable ASCII without blanks, at most `most` characters, `-` if empty."""
    return _NOT_PRINTABLE.sub("_", str(text))[:most] or "-"
