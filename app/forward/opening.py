"""From `--to URL` to the target. Secrets come from the environment; a URL is visible in the list of processes."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from app.domain.errors import ConfigurationError
from app.forward.http import Splunk, Webhook, signing_keys
from app.forward.syslog import Syslog
from app.forward.target import Target

#: Formats of one JSON object a line, which a receiver may get; the first of a scheme's is its default.
FORMATS = ("ndjson", "cloudevents", "ecs", "ocsf")
_SYSLOG_PORTS = {"syslog": 601, "syslog+tls": 6514}  # RFC 3195's for TCP, RFC 5425's
_SPLUNK_PORT = 8088
_SPLUNK_OPTIONS = {"index", "sourcetype", "host"}
_EXAMPLES = (
    "https://siem.example.com/audit, splunk-hec://splunk.example.com:8088, syslog+tls://log.example.com:6514 or"
    " syslog://127.0.0.1:601"
)


class Opened(NamedTuple):
    """`shown` is the receiver's address without path, query and secrets; `format` is a name of FORMATS."""

    target: Target
    shown: str
    format: str


def open_target(url: str, form: str | None, environment: Mapping[str, str], tls: ssl.SSLContext) -> Opened:
    """The receiver at `url`. Reads FORWARD_SECRET and FORWARD_TOKEN. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise ConfigurationError(f"--to is no address of a receiver; it looks like {_EXAMPLES}.")
    if parts.username or parts.password:
        raise ConfigurationError("--to has a name or password in it; set FORWARD_TOKEN instead.")
    scheme = parts.scheme
    if scheme in ("http", "splunk-hec+http") and not _is_loopback(host):
        raise ConfigurationError(f"--to: {scheme}:// is for receivers on this machine; use TLS for {host}.")
    if form is not None and form not in FORMATS:
        raise ConfigurationError(f"--format must be one of {', '.join(FORMATS)}.")
    shown = f"{scheme}://{parts.netloc}"
    token = environment.get("FORWARD_TOKEN")
    if scheme in ("https", "http"):
        form = form or "cloudevents"
        keys = signing_keys(environment.get("FORWARD_SECRET", ""))
        if not keys:
            raise ConfigurationError(
                'FORWARD_SECRET is not set; make a signing key with: echo "whsec_$(openssl rand -base64 32)", and give it'
                " to the receiver, too."
            )
        media_type, batch = _BATCHES.get(form, _LINES)
        return Opened(Webhook(url, keys, token, media_type, batch, tls), shown, form)
    if scheme in ("splunk-hec", "splunk-hec+http"):
        if token is None:
            raise ConfigurationError("FORWARD_TOKEN is not set; it is the token of Splunk's HTTP Event Collector.")
        options = dict(parse_qsl(parts.query))
        if unknown := sorted(set(options) - _SPLUNK_OPTIONS):
            raise ConfigurationError(
                f"--to: {unknown[0]} is no option; there are {', '.join(sorted(_SPLUNK_OPTIONS))}."
            )
        base = f"{'https' if scheme == 'splunk-hec' else 'http'}://{_bracketed(host)}:{port or _SPLUNK_PORT}"
        fields = {"sourcetype": "audit_gateway:event", **options}
        return Opened(Splunk(base + parts.path.rstrip("/"), token, fields, tls), shown, form or "ndjson")
    if scheme in _SYSLOG_PORTS:
        if parts.path.strip("/") or parts.query:
            raise ConfigurationError("--to: an address of a syslog receiver has a host and a port, nothing else.")
        context = tls if scheme == "syslog+tls" else None
        return Opened(Syslog(host, port or _SYSLOG_PORTS[scheme], context), shown, form or "ndjson")
    raise ConfigurationError(f"--to: {scheme or 'no scheme'} is no kind of receiver; give {_EXAMPLES}.")


def _lines(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _array(lines: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


_LINES: tuple[str, Callable[[Sequence[bytes]], bytes]] = ("application/x-ndjson", _lines)
#: CloudEvents have a batch form of their own (HTTP protocol binding 1.0.2, section 3.3).
_BATCHES = {"cloudevents": ("application/cloudevents-batch+json", _array)}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
