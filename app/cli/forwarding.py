"""`audit-gateway forward`, and the receiver of `--to URL`. Secrets come from the environment, because process lists
show a URL."""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import typer

from app.cli.client import connected
from app.cli.failures import TRANSIENT, USAGE, Failure, Problem, sentence
from app.cli.flags import Config, Filters, Include, query_pairs
from app.cli.output import lines_of
from app.config import read_environment
from app.domain.errors import ConfigurationError
from app.forward import Checkpoint, Gone, Page, Pairs, Target, Temporary, load_checkpoint, locked
from app.forward.forwarder import Forwarder, Stopped, serve_metrics
from app.forward.receivers import MAKE_SECRET, Splunk, Syslog, Webhook, signing_keys
from app.logs import configure_logging
from app.providers.http.network import Network, is_loopback

#: Formats with one JSON object a line.
FORMATS = ("ndjson", "cloudevents", "ecs", "ocsf")
_PORTS = {"syslog": 601, "syslog+tls": 6514, "splunk-hec": 8088, "splunk-hec+http": 8088}
_SPLUNK_FIELDS = ("host", "index", "sourcetype")
#: Media type of a batch, and the bytes before, between and after its events. CloudEvents have a batch form (HTTP
#: protocol binding 1.0.2, section 3.3).
_LINES = ("application/x-ndjson", b"", b"\n", b"\n")
_BATCHES = {"cloudevents": ("application/cloudevents-batch+json", b"[", b",", b"]")}
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
    """Return the receiver at `url`. Reads FORWARD_SECRET and FORWARD_TOKEN. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        host = None
    if not host or scheme not in ("https", "http", *_PORTS):
        raise ConfigurationError(f"--to is no address of a receiver; it looks like {_EXAMPLES}.")
    if "@" in parts.netloc:
        raise ConfigurationError("--to has a name or password in it; set FORWARD_TOKEN instead.")
    if scheme.endswith("http") and not is_loopback(host):
        raise ConfigurationError(f"--to: {scheme}:// is for receivers on this machine; use TLS for {host}.")
    form = form or ("cloudevents" if scheme in ("https", "http") else "ndjson")
    if form not in FORMATS:
        raise ConfigurationError(f"--format must be one of {', '.join(FORMATS)}.")
    token, address = environment.get("FORWARD_TOKEN"), f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if scheme.startswith("splunk-hec"):
        if token is None:
            raise ConfigurationError("FORWARD_TOKEN is not set; it is the token of Splunk's HTTP Event Collector.")
        fields = {"sourcetype": "audit_gateway:event", **dict(parse_qsl(parts.query))}
        if unknown := set(fields).difference(_SPLUNK_FIELDS):
            raise ConfigurationError(f"--to: {min(unknown)} is no option; there are {', '.join(_SPLUNK_FIELDS)}.")
        base = f"{'https' if scheme == 'splunk-hec' else 'http'}://{address}{parts.path.rstrip('/')}"
        proxy = Network(environment).proxy_for(base)
        return Opened(Splunk(base, token, fields, tls, proxy), f"{scheme}://{address}", form)
    if scheme.startswith("syslog"):
        if port is None or parts.path.strip("/") or parts.query:
            raise ConfigurationError("--to: an address of a syslog receiver has a host and a port, nothing else.")
        return Opened(Syslog(host, port, tls if scheme == "syslog+tls" else None), f"{scheme}://{address}", form)
    keys = signing_keys(environment.get("FORWARD_SECRET", ""))
    if not keys:
        raise ConfigurationError(f"FORWARD_SECRET is not set; {MAKE_SECRET}, and give it to the receiver, too.")
    webhook = Webhook(url, keys, token, _BATCHES.get(form, _LINES), tls, Network(environment).proxy_for(url))
    return Opened(webhook, f"{scheme}://{parts.netloc}", form)


def tls_context(
    ca: Path | None, client_certificate: Path | None, environment: Mapping[str, str] | None = None
) -> ssl.SSLContext:
    """Return a context with TLS 1.2 or later and verified names. `ca`: PEM file instead of the environment's and the
    system's authorities; `client_certificate`: PEM file with certificate and key. Raises ConfigurationError."""
    flag, path = "--ca", ca
    try:
        context = ssl.create_default_context(cafile=ca) if ca else Network(environment).ssl_context(own=True)
        if client_certificate is not None:
            flag, path = "--client-cert", client_certificate
            # A password, because OpenSSL would prompt for it on the terminal.
            context.load_cert_chain(client_certificate, password="")
    except (OSError, ValueError) as error:
        name = type(error).__name__
        raise ConfigurationError(f"{flag}: {path} is no PEM file with what is needed, unencrypted ({name}).") from None
    return context


def forward(
    filters: Filters,
    to: Annotated[str, typer.Option(help="The receiver: https://, splunk-hec://, syslog:// or syslog+tls://.")],
    cursor_file: Annotated[Path, typer.Option(help="Keeps the place; one file for each receiver.")],
    form: Annotated[
        str | None, typer.Option("--format", help="cloudevents (default for https), ndjson (others), ecs, ocsf.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Events in one batch, at most.")] = 500,
    ca: Annotated[Path | None, typer.Option(help="Authorities (PEM) in place of all others.")] = None,
    client_cert: Annotated[Path | None, typer.Option(help="Client certificate and key (PEM) for mutual TLS.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Serve Prometheus metrics there, such as 127.0.0.1:9464.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Continue without a source that fails; its events follow later.")
    ] = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Push new events to a receiver, at least once each.

    Begins now, or at --since, and has no end. The cursor file moves only after the receiver accepts; the same command
    continues there. FORWARD_SECRET signs webhooks (whsec_..., several separated by blanks); FORWARD_TOKEN is the bearer
    or HEC token. Both also from .env.
    """
    since = () if "since" in dict(filters) else (("since", "now"),)
    pairs = query_pairs((*filters, *since), order="asc", partial=partial, follow=True, include=include)
    asked = shlex.join(
        f"{name}={text}" for name, text in (*sorted(filters), *([("include", "raw")] if include else []))
    )
    environment = read_environment()
    target, shown, form = open_target(to, form, environment, tls_context(ca, client_cert, environment))
    with closing(target), locked(cursor_file), connected(config) as client:
        configure_logging()
        start = load_checkpoint(cursor_file, Checkpoint(asked=asked, through=dict(pairs)["since"]))

        def fetch(page: Pairs) -> Page:
            try:
                return client.page(page)
            except Problem as problem:
                if problem.code in TRANSIENT:
                    raise Temporary(sentence(problem), retry_after=problem.retry_after) from None
                if problem.code == "invalid_cursor":
                    reached = load_checkpoint(cursor_file, start).through
                    raise Failure(
                        f"the gateway refuses the cursor in {cursor_file} (was GATEWAY_CURSOR_SECRET changed?);"
                        f" remove the file and add --since {reached}: no event is missed",
                        USAGE,
                    ) from None
                raise

        forwarder = Forwarder(fetch, lines_of(form).line, target, cursor_file, start, shown=shown, limit=batch)
        if metrics is not None:
            serve_metrics(metrics, forwarder.metrics.registry)
        with suppress(Stopped):
            try:
                forwarder.run(pairs)
            except Gone as gone:
                raise Failure(f"{gone}: it accepts no more events") from None
