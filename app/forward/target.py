"""What every receiver has in common: a batch in, an exception for each way to refuse it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from app.domain.errors import ConfigurationError

#: Seconds for a connection, and for each read and write after it.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 10.0, 30.0


class Item(NamedTuple):
    """One event: as the API shows it, and as one line of the chosen format without its line end."""

    event: Mapping[str, Any]
    line: bytes


class Temporary(Exception):
    """A failure to retry. `retry_after` is in seconds, None where the other side named no time.

    The text goes to the log: it contains no secret, no part of an event and no text of the other side."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NotAccepted(Temporary):
    """The receiver did not accept the batch, or its answer did not arrive."""


class TooLarge(NotAccepted):
    """The receiver refuses the batch for its size (HTTP 413)."""


class Gone(Exception):
    """The receiver wants no further batch (HTTP 410), which the Standard Webhooks scheme asks senders to honour."""


class Target(Protocol):
    """One receiver."""

    def deliver(self, items: Sequence[Item]) -> None:
        """Send a batch of at least one event; return once the receiver accepted all of it. Raises NotAccepted, Gone."""

    def close(self) -> None: ...


def tls_context(ca: Path | None, client_certificate: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later with verified names. `ca`: PEM file instead of the system's authorities; `client_certificate`:
    PEM file with certificate and key. Raises ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"--ca: {ca} is no PEM file of certificates ({type(error).__name__}).") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if client_certificate is not None:
        try:
            context.load_cert_chain(client_certificate, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigurationError(
                f"--client-cert: {client_certificate} is no PEM file with a certificate and its unencrypted key"
                f" ({type(error).__name__})."
            ) from None
    return context


def _no_password() -> str:
    raise ValueError("an encrypted key would make OpenSSL ask on the terminal")
