"""`audit-gateway forward`."""

from __future__ import annotations

import math
import shlex
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial as bound
from pathlib import Path
from typing import Annotated

import typer

from app.cli.client import Problem, connected
from app.cli.failures import USAGE, Failure
from app.cli.flags import Config, Filters, Include, Partial, followed, query_pairs
from app.cli.output import lines_of
from app.cli.walk import walk
from app.config import read_environment
from app.domain.times import format_seconds, now_micros, parse_duration
from app.forward.checkpoint import Checkpoint, CheckpointFile
from app.logs import configure_logging


def forward(
    filters: Filters,
    to: Annotated[str, typer.Option(help="The receiver: https://, splunk-hec://, syslog:// or syslog+tls://.")],
    cursor_file: Annotated[Path, typer.Option(help="Keeps the place; one file for each receiver.")],
    form: Annotated[
        str | None, typer.Option("--format", help="cloudevents (default for https), ndjson (others), ecs, ocsf.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Events in one batch, at most.")] = 500,
    ca: Annotated[Path | None, typer.Option(help="Authorities (PEM) in place of the system's.")] = None,
    client_cert: Annotated[Path | None, typer.Option(help="Client certificate and key (PEM) for mutual TLS.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Serve Prometheus metrics there, such as 127.0.0.1:9464.")] = None,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Push events to a receiver as they happen, from now (or --since) on, at least once each, without end.

    The cursor file moves only after the receiver accepts; the same command continues there. FORWARD_SECRET signs
    webhooks (whsec_..., several separated by blanks); FORWARD_TOKEN is the bearer or HEC token. Both also from .env.
    """
    from app.forward.forwarder import Forwarder, Stopped, serve_metrics
    from app.forward.opening import open_target, tls_context
    from app.forward.target import Gone

    asked = shlex.join(
        f"{name}={text}" for name, text in (*sorted(filters), *([("include", "raw")] if include else []))
    )
    filters = tuple((name, _pinned(text) if name == "since" else text) for name, text in followed(filters, "forward"))
    pairs = query_pairs(filters, order="asc", partial=partial, follow=True, include=include)
    target, shown, form = open_target(to, form, read_environment(), tls_context(ca, client_cert))
    file = CheckpointFile(cursor_file)
    with closing(target), file.locked(), connected(config) as client, suppress(Stopped):
        configure_logging()
        start = file.load(Checkpoint(asked=asked, through=dict(pairs)["since"]))
        forwarder = Forwarder(lines_of(form).line, target, file, start, shown=shown)
        failed = bound(forwarder.failed, "gateway")
        pages = walk(client, pairs, cursor=start.cursor, follow=True, size=batch, attempts=math.inf, notify=failed)
        if metrics is not None:
            serve_metrics(metrics, forwarder.metrics.registry)
        try:
            forwarder.run(pages)
        except Gone as gone:
            raise Failure(f"{gone}: it wants no more events") from None
        except Problem as problem:
            if problem.code != "invalid_cursor":
                raise
            changed = f"the gateway refuses the cursor in {cursor_file} (was GATEWAY_CURSOR_SECRET changed?)"
            remedy = f"remove the file and add --since {file.load(start).through}: no event is missed"
            raise Failure(f"{changed}; {remedy}", USAGE) from None


def _pinned(since: str) -> str:
    """Return a duration as the time so long before now, so that all attempts at the first page begin there."""
    with suppress(ValueError):  # the API explains an invalid duration
        if (duration := parse_duration(since)) is not None:
            return format_seconds(now_micros() - duration // timedelta(microseconds=1))
    return since
