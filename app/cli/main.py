"""The command `audit-gateway`. Each command imports what it needs when it runs: `--help` must not wait for a
server.

Exit codes: 0 for success, and for a server's stop by SIGINT or SIGTERM; 1 for a failure while running, such as a
source that fails; 2 for a wrong setting or argument; 130 for any other command that Ctrl-C stops.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli import commands as asking
from app.cli.flags import filtered
from app.cli.forwarding import forward
from app.cli.mcp_command import mcp
from app.cli.verifying import signing_key, verify
from app.domain.errors import ConfigurationError

cli = typer.Typer(
    name="audit-gateway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, and so secrets
    # --envelope_id, as the API has it, is --envelope-id too.
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
keys = typer.Typer(help="API keys of the gateway's callers.", no_args_is_help=True)
cli.add_typer(keys, name="keys")


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("audit-gateway"))
        raise typer.Exit


@cli.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One feed of audit events over several e-signature accounts."""


@cli.command()
def serve(
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Serve emulated accounts: no setting and no account is needed.")
    ] = False,
    sandbox_events: Annotated[
        int, typer.Option(min=0, max=50_000_000, metavar="N", help="How many events the sandbox begins with.")
    ] = 4000,
    host: Annotated[str, typer.Option(envvar="GATEWAY_HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, envvar="GATEWAY_PORT", help="The port to listen on; 0 takes a free one.")
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="How many processes serve.")] = 1,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file with settings; default: GATEWAY_CONFIG.")
    ] = None,
) -> None:
    """Serve the HTTP API over the sources that the environment and the configuration file name."""
    from app.cli.serving import Options, serve_gateway

    raise typer.Exit(serve_gateway(Options(sandbox, sandbox_events, host, port, workers, config)))


for _command in (asking.events, asking.count, asking.export, forward):
    cli.command(epilog=asking.EPILOG)(filtered(_command))
cli.command(epilog=asking.EPILOG)(asking.sources)
cli.command(epilog=asking.EPILOG)(mcp)
cli.command()(verify)
keys.command("signing")(signing_key)


@keys.command("new")
def new_key(
    name: Annotated[str, typer.Option(help="Who the key is for; it appears in the log.")],
    scopes: Annotated[str, typer.Option(metavar="A,B", help="What it grants, such as events:read,pii:read.")],
    file: Annotated[Path, typer.Option(metavar="F", help="The keys' file; made where there is none.")],
    sources: Annotated[str | None, typer.Option(metavar="A,B", help="Only these sources; default: all.")] = None,
    rate: Annotated[str | None, typer.Option(metavar="N/UNIT", help="Calls allowed, such as 600/minute.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="TIME", help="When it ends, such as 2027-01-01.")] = None,
) -> None:
    """Make an API key. Its hash goes to the file; the key, once, is the only line on standard output."""
    from app.cli.failures import reported
    from app.cli.keys import make_key

    with reported():
        make_key(name, scopes, file, sources=sources, rate=rate, expires=expires)


@cli.command()
def openapi(
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there, not to standard output.")] = None,
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
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file with settings; default: GATEWAY_CONFIG.")
    ] = None,
    wait: Annotated[
        float,
        typer.Option(min=0, max=600, metavar="SECONDS", help="How long to wait for new events, to see their lag."),
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
