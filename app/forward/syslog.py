"""Syslog receivers: RFC 5424 messages with octet counting over TCP (RFC 6587) or TLS (RFC 5425).

Syslog has no acknowledgements. Therefore each batch uses its own connection: the sender ends its side, and the
receiver's clean close shows that it has read every byte. A receiver that is killed with unread bytes resets the
connection, and the batch is sent again.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress

from app.forward.target import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Item, Temporary

_FACILITY = 13  # log audit
_NOTICE, _WARNING = 5, 4
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


class Syslog:
    """`tls` None: plain TCP."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._hostname = _word(socket.gethostname(), 255)

    def deliver(self, items: Sequence[Item]) -> None:
        data = b"".join(map(self._frame, items))
        try:
            with socket.create_connection((self._host, self._port), CONNECT_TIMEOUT) as connection:
                connection.settimeout(ANSWER_TIMEOUT)
                if self._tls is None:
                    self._send_plain(connection, data)
                else:
                    self._send_encrypted(self._tls, connection, data)
        except TimeoutError:
            raise Temporary("the receiver did not end the connection after the batch") from None
        except OSError as error:
            reason = getattr(error, "reason", None) or type(error).__name__  # of OpenSSL
            raise Temporary(f"the connection failed ({reason})") from None

    def close(self) -> None:
        pass

    @staticmethod
    def _send_plain(connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    def _send_encrypted(self, tls: ssl.SSLContext, connection: socket.socket, data: bytes) -> None:
        with tls.wrap_socket(connection, server_hostname=self._host) as encrypted:
            encrypted.sendall(data)
            # Sends close_notify and waits for the receiver's, which RFC 5425 section 4.4 demands. rsyslog with its gtls
            # driver ends the TCP connection instead.
            with suppress(ssl.SSLEOFError):
                encrypted.unwrap().close()

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
