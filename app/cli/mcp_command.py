"""`audit-gateway mcp`."""

from __future__ import annotations

from app.cli.flags import Config


def mcp(config: Config = None) -> None:
    """Serve the Model Context Protocol on standard input and output: four read-only tools for agents."""
    import asyncio

    from app.cli.failures import USAGE, Failure, reported
    from app.logs import configure_logging

    with reported():
        try:
            from app.mcp_server import serve
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "mcp":
                raise
            raise Failure("the MCP SDK is not installed: pip install 'audit-gateway[mcp]'", USAGE) from None
        configure_logging()
        asyncio.run(serve(config))
