"""`audit-gateway forward`."""

from __future__ import annotations

import shlex
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import typer

from app.cli.client import Problem, connected
from app.cli.failures import TRANSIENT, USAGE, Failure, sentence
from app.cli.flags import Config, Filters, Include, Partial, query_pairs
from app.cli.output import lines_of
from app.config import read_environment
from app.forward.checkpoint import Checkpoint, CheckpointFile
from app.forward.target import Page, Pairs
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
    from app.forward.target import Gone, Temporary

    if "until" in dict(filters):
        raise Failure("forward has no end; leave out --until", USAGE)
    since = () if "since" in dict(filters) else (("since", "now"),)
    pairs = query_pairs((*filters, *since), order="asc", partial=partial, follow=True, include=include)
    asked = shlex.join(
        f"{name}={text}" for name, text in (*sorted(filters), *([("include", "raw")] if include else []))
    )
    target, shown, form = open_target(to, form, read_environment(), tls_context(ca, client_cert))
    file = CheckpointFile(cursor_file)
    with closing(target), file.locked(), connected(config) as client:
        configure_logging()
        start = file.load(Checkpoint(asked=asked, through=dict(pairs)["since"]))

        def fetch(page: Pairs) -> Page:
            try:
                return client.page(page)
            except Problem as problem:
                if problem.code in TRANSIENT:
                    raise Temporary(sentence(problem), retry_after=problem.retry_after) from None
                if problem.code == "invalid_cursor":
                    raise Failure(
                        f"the gateway refuses the cursor in {cursor_file} (was GATEWAY_CURSOR_SECRET changed?);"
                        f" remove the file and add --since {file.load(start).through}: no event is missed",
                        USAGE,
                    ) from None
                raise

        forwarder = Forwarder(fetch, lines_of(form).line, target, file, start, shown=shown, limit=batch)
        if metrics is not None:
            serve_metrics(metrics, forwarder.metrics.registry)
        with suppress(Stopped):
            try:
                forwarder.run(pairs)
            except Gone as gone:
                raise Failure(f"{gone}: it wants no more events") from None
