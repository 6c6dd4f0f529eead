"""The command `audit-gateway`. Each command imports what it needs when it runs: `--help` must not wait for a server."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import commands
from app.cli.flags import filtered
from app.cli.forwarding import forward
from app.cli.mcp_command import mcp
from app.cli.verifying import signing_key, verify
from app.domain.errors import ConfigurationError
from app.logs import configure_logging

cli = typer.Typer(
    name="audit-gateway",
    no_args_is_help=True,
    rich_markup_mode=None,  # boxes leave too few columns for the texts
    pretty_exceptions_enable=False,  # they print local variables, and so secrets
    # --envelope_id, as the API has it, is --envelope-id too.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
keys = typer.Typer(help="API keys of the gateway's callers.", no_args_is_help=True, rich_markup_mode=None)
cli.add_typer(keys, name="keys")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("audit-gateway"))
        raise typer.Exit


EXIT_CODES = (
    "Exit codes: 0 success; 1 a failure while running, such as a source that fails; 2 a wrong flag, argument or"
    " setting; 3 records that cannot be read were left out; 130 Ctrl-C."
)


@cli.callback(epilog=EXIT_CODES)
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One feed of audit events over several e-signature accounts."""
    # Standard output is for events. The commands tell a failure themselves: a warning of an opened circuit would only
    # tell it twice. What runs for long (serve, forward, mcp) logs from its own level on.
    configure_logging(level=os.environ.get("GATEWAY_LOG_LEVEL") or "error")


@cli.command()
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
    config: Annotated[Path | None, typer.Option(help="TOML file with settings. Default: GATEWAY_CONFIG.")] = None,
) -> None:
    """Serve the HTTP API over the sources that the environment and the configuration file name."""
    from app.cli.serving import Options, serve_gateway

    raise typer.Exit(serve_gateway(Options(sandbox, sandbox_events, host, port, workers, config)))


for _command in (commands.events, commands.count, commands.export, forward):
    cli.command(epilog=commands.EPILOG)(filtered(_command))
cli.command(epilog=commands.EPILOG)(commands.event)
cli.command(epilog=commands.EPILOG)(commands.sources)
cli.command(epilog=commands.EPILOG)(mcp)
cli.command()(verify)
keys.command("signing")(signing_key)


@keys.command("new")
def new_key(
    name: Annotated[str, typer.Option(help="The caller; appears in the log.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated, such as events:read,pii:read.")],
    file: Annotated[Path, typer.Option(metavar="F", help="The keys file; created if missing.")],
    sources: Annotated[str | None, typer.Option(help="Comma-separated sources. Default: all.")] = None,
    rate: Annotated[str | None, typer.Option(help="Calls, such as 600/minute.")] = None,
    expires: Annotated[str | None, typer.Option(help="Expiry, such as 2027-01-01.")] = None,
) -> None:
    """Make an API key. Its hash goes to the file; the key, once, is the only line on standard output."""
    from app.cli.failures import reported
    from app.cli.keys import make_key

    with reported():
        make_key(name, scopes, file, sources=sources, rate=rate, expires=expires)


@keys.command("list")
def list_command(
    file: Annotated[Path, typer.Option(help="The keys file.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each key's line of the file, without the key.")
    ] = False,
) -> None:
    """List the keys of a file with their grants. The keys themselves are not stored."""
    from app.cli.failures import reported
    from app.cli.keys import list_keys

    with reported():
        list_keys(file, as_json=as_json)


@keys.command("revoke")
def revoke_command(
    name: Annotated[str, typer.Option(help="The key's name; all keys of this name are removed.")],
    file: Annotated[Path, typer.Option(help="The keys file.")],
) -> None:
    """Remove a caller's keys from a file; a running gateway reads the change without a restart."""
    from app.cli.failures import reported
    from app.cli.keys import revoke_keys

    with reported():
        revoke_keys(name, file)


@cli.command()
def openapi(
    output: Annotated[Path | None, typer.Option(help="Write to this file. Default: standard output.")] = None,
) -> None:
    """Print the OpenAPI document."""
    from app.cli.document import openapi_text
    from app.cli.failures import reported

    text = openapi_text()
    if output is None:
        with reported():
            sys.stdout.write(text)
            sys.stdout.flush()
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--output: {output} cannot be written ({error.strerror}).") from None


@cli.command()
def probe(
    config: Annotated[Path | None, typer.Option(help="TOML file with settings. Default: GATEWAY_CONFIG.")] = None,
    wait: Annotated[
        float,
        typer.Option(min=0, max=600, help="Seconds to wait for new events, to measure their lag."),
    ] = 20.0,
) -> None:
    """Try each source's credentials and permissions, and find out what the providers' documents leave open."""
    from app.cli.probe import probe_sources

    raise typer.Exit(probe_sources(config, wait))


def main() -> None:
    """Run the command line. A setting or argument that is wrong is one line on standard error, and exit code 2;
    standard output that cannot be written is one, too, and exit code 1.
    """
    try:
        try:
            cli()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # the interpreter would, and end with a traceback where it cannot
    except KeyboardInterrupt:
        sys.exit(130)
    except ConfigurationError as error:
        print(f"audit-gateway: {error.detail}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        from app.cli.failures import FAILED, discard_output, print_file_error

        if isinstance(error, BrokenPipeError):
            discard_output()
            sys.exit(0)
        print_file_error(error)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
