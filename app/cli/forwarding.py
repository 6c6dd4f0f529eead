"""`audit-gateway forward`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from app.cli.flags import Config, Filters, Include, Partial


def forward(
    filters: Filters,
    to: Annotated[
        str,
        typer.Option(metavar="URL", help="The receiver: https://, splunk-hec://, syslog:// or syslog+tls://."),
    ],
    cursor_file: Annotated[Path, typer.Option(metavar="FILE", help="Keeps the place; one file for each receiver.")],
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="cloudevents (default for https), ndjson (others), ecs, ocsf."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Events in one batch, at most.")] = 500,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="Authorities (PEM) in place of the system's.")] = None,
    client_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Client certificate and key (PEM) for mutual TLS.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve Prometheus metrics there, such as 127.0.0.1:9464.")
    ] = None,
    partial: Partial = False,
    include: Include = None,
    config: Config = None,
) -> None:
    """Push events to a receiver as they come, from now (or --since) on, at least once each, for ever.

    The cursor file moves only after the receiver accepted; the same command continues there. FORWARD_SECRET signs
    webhooks (whsec_..., several separated by blanks); FORWARD_TOKEN is the bearer or HEC token. Both also from .env.
    """
    from app.cli.client import Page, Pairs, Problem, connected
    from app.cli.failures import FAILED, TRANSIENT, USAGE, Failure, complain, reported, sentence
    from app.cli.flags import included, to_send
    from app.cli.lines import lines_of
    from app.domain.times import now_micros
    from app.environment import read_environment
    from app.forward.checkpoint import Checkpoint, CheckpointFile
    from app.forward.forwarder import Forwarder, Stopped, Stopper
    from app.forward.metrics import serve_metrics
    from app.forward.opening import open_target
    from app.forward.target import Gone, Temporary, tls_context
    from app.logs import configure_logging

    with reported():
        given = dict(filters)
        if "until" in given:
            raise Failure("forward has no end; leave out --until", USAGE)
        now = now_micros()
        pairs = to_send(filters, now) + ([] if "since" in given else to_send((("since", "now"),), now))
        pairs += [("order", "asc"), ("follow", "true"), *included(include or [])]
        pairs += [("partial", "true")] if partial else []
        asked = shlex.join(f"{name}={text}" for name, text in (*sorted(filters), *included(include or [])))
        opened = open_target(to, form, read_environment(), tls_context(ca, client_cert))
        line = lines_of(opened.format).line
        configure_logging()
        with CheckpointFile(cursor_file) as file, connected(config) as client:
            checkpoint = file.load(Checkpoint(asked=asked, through=dict(pairs)["since"]))

            def fetch(asked_for: Pairs) -> Page:
                try:
                    return client.page(asked_for)
                except Problem as problem:
                    if problem.code in TRANSIENT:
                        raise Temporary(sentence(problem), retry_after=problem.retry_after) from None
                    if problem.code == "invalid_cursor":
                        raise Failure(
                            f"the gateway does not accept the cursor in {cursor_file} (its GATEWAY_CURSOR_SECRET may have"
                            f" changed); remove the file and add --since {checkpoint.through}: some events repeat,"
                            " none is missed",
                            USAGE,
                        ) from None
                    raise

            stopper = Stopper()
            forwarder = Forwarder(
                fetch, line, opened.target, file, checkpoint, stopper, shown=opened.shown, limit=batch
            )
            if metrics is not None:
                serve_metrics(metrics, forwarder.metrics.registry)
            stopper.install()
            try:
                forwarder.run(pairs)
            except Stopped:
                pass
            except Gone as gone:
                complain(f"{gone}: it wants no more events")
                raise typer.Exit(FAILED) from None
            finally:
                opened.target.close()
