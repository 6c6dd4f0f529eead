"""The command `audit-gateway`. Commands import the server only when they need it, so that `--help` is fast."""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from app.cli.client import connected
from app.cli.export import export
from app.cli.failures import FAILED, USAGE, Failure, reported
from app.cli.flags import Config, command
from app.cli.forwarding import forward
from app.cli.keys import list_keys, make_key, revoke_keys, signing_key, verify
from app.cli.output import write_bytes
from app.cli.queries import count, event, events, sources
from app.logs import configure_logging

EXIT_CODES = (
    "Exit codes: 0 success; 1 a failure while running, such as a failing source; 2 an invalid flag, argument"
    " or setting; 3 finished, but unreadable records were left out or events may be missing; 130 Ctrl-C."
)
EPILOG = (
    "Queries the gateway at GATEWAY_URL with the key GATEWAY_KEY (both also from .env). If GATEWAY_URL is unset, or"
    " with --config, reads the configured accounts directly. Exit codes: audit-gateway --help."
)

cli = typer.Typer(
    name="audit-gateway",
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes leave too few columns for text
    pretty_exceptions_enable=False,  # they print local variables, including secrets
    # Accept the API's --envelope_id as --envelope-id.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
keys = typer.Typer(help="API keys of the gateway's callers.", no_args_is_help=True, rich_markup_mode=None)

ConfigFile = Annotated[Path | None, typer.Option(help="TOML file with settings. Default: GATEWAY_CONFIG.")]


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print(version("audit-gateway"))
        raise typer.Exit


@cli.callback(epilog=EXIT_CODES)
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One feed of audit events over several e-signature accounts."""
    # Standard output is for events. Commands report failures, which a warning of an open circuit would repeat. Commands
    # that run for long (serve, forward, mcp) configure their own level.
    configure_logging(level=os.environ.get("GATEWAY_LOG_LEVEL") or "error")


def serve(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Serve emulated accounts; needs no settings.")] = False,
    sandbox_events: Annotated[
        int, typer.Option(min=0, max=50_000_000, help="Number of events that the sandbox starts with.")
    ] = 4000,
    host: Annotated[str, typer.Option(envvar="GATEWAY_HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="GATEWAY_PORT", help="The port to listen on; 0 takes a free one.")
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Number of processes.")] = 1,
    config: ConfigFile = None,
) -> int:
    """Serve the HTTP API over the configured accounts."""
    from app.cli.serving import serve_gateway

    return serve_gateway(
        sandbox=sandbox, sandbox_events=sandbox_events, host=host, port=port, workers=workers, config=config
    )


def mcp(config: Config = None) -> None:
    """Serve four read-only tools for agents (Model Context Protocol).

    Uses standard input and output."""
    import asyncio

    try:
        from app.cli.mcp_server import make_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise Failure("the MCP SDK is not installed: pip install '.[mcp]' in a checkout", USAGE) from None
    configure_logging()
    with connected(config) as client:
        asyncio.run(make_server(client).run_stdio_async())


def openapi(
    output: Annotated[Path | None, typer.Option(help="Write to this file. Default: standard output.")] = None,
) -> None:
    """Print the OpenAPI document."""
    if output is None:
        write_bytes(openapi_text().encode())
        return
    try:
        output.write_text(openapi_text(), encoding="utf-8")
    except OSError as error:
        raise Failure(f"--output: {output} cannot be written ({error.strerror})", USAGE) from None


def openapi_text() -> str:
    """Return the OpenAPI document as indented JSON with sorted keys and a line end, equal for equal code."""
    from app.config import Settings
    from app.main import create_app

    # Built without settings: only GATEWAY_PROVIDERS_PATH changes the document.
    app = create_app(Settings.model_construct(auth="off"), [])
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def probe(
    config: ConfigFile = None,
    wait: Annotated[
        float, typer.Option(min=0, max=600, help="Seconds to wait for new events, to measure their lag.")
    ] = 20.0,
) -> int:
    """Check each source's credentials and permissions.

    Also measures what the providers' documents leave open, and prints settings to use."""
    from app.cli.probe import probe_sources

    return probe_sources(config, wait)


BEGINS = {events: "30 days ago, or now with --follow", forward: "now"}
# In the order of the help.
for function, epilog in (
    (serve, None), (events, EPILOG), (count, EPILOG), (export, EPILOG), (forward, EPILOG), (event, EPILOG),
    (sources, EPILOG), (mcp, EPILOG), (verify, None), (openapi, None), (probe, None),
):  # fmt: skip
    broken_pipe = FAILED if function is export else 0
    cli.command(epilog=epilog)(command(function, broken_pipe=broken_pipe, begin=BEGINS.get(function, "30 days ago")))
keys.command("signing")(command(signing_key))
keys.command("new")(command(make_key))
keys.command("list")(command(list_keys))
keys.command("revoke")(command(revoke_keys))
cli.add_typer(keys, name="keys")


def main() -> None:
    """Run the command line. A failing standard output prints one line on standard error, with exit code 1."""
    if sys.stderr is None:  # closed, as by 2>&-
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # until the process ends
    try:
        with reported():
            try:
                cli()
            finally:
                if sys.stdout is not None:
                    write_bytes(b"")  # the interpreter would flush it, and fail with a traceback
    except typer.Exit as stop:
        sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
