"""`audit-gateway serve`: check everything, listen, say where, serve, and stop without a fuss."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from app.api.keys import SANDBOX_KEY
from app.api.security import is_loopback, require_loopback
from app.config import Configuration, load_configuration
from app.domain.errors import ConfigurationError
from app.logs import configure_logging
from app.main import (
    SANDBOX_VARIABLE,
    all_warnings,
    build_sources,
    configuration_from_environment,
    create_app,
    provider_paths,
)
from app.providers.base import Provider, Source
from app.providers.registry import find_providers
from app.sandbox.sandbox import start_sandbox

GRACE = 10  #: seconds that requests under way get when the server stops

_log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Options:
    sandbox: bool
    sandbox_events: int
    host: str
    port: int
    workers: int
    config: Path | None


def serve_gateway(options: Options) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Raises ConfigurationError before anything
    listens.
    """
    configure_logging()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    # What was left by another `serve` would make this one a sandbox without emulators.
    os.environ.pop(SANDBOX_VARIABLE, None)
    if options.config is not None:
        os.environ["GATEWAY_CONFIG"] = str(options.config)
    configuration = load_configuration(sandbox_environment={} if options.sandbox else None)
    if configuration.settings.auth == "off":
        require_loopback(options.host)
    providers = find_providers(provider_paths(os.environ))
    with ExitStack() as stack:
        if not options.sandbox:
            _check(configuration, providers)
        listener = stack.enter_context(_bind(options.host, options.port))
        if options.sandbox:
            running = stack.enter_context(start_sandbox(events=options.sandbox_events))
            os.environ[SANDBOX_VARIABLE] = json.dumps(running.env)
        if options.workers > 1:
            # The workers read the environment for themselves: a secret that was made here must reach them
            # all.
            os.environ["GATEWAY_CURSOR_SECRET"] = ",".join(configuration.settings.cursor_secrets)
            warnings = all_warnings(configuration, providers)
        configuration = configuration_from_environment()
        if options.workers == 1:
            warnings = all_warnings(configuration, providers)
        for warning in warnings:
            _log.warning("configuration", problem=warning)
        if options.workers > 1:
            return _serve_with_workers(listener, options, configuration, providers)
        return _serve_alone(listener, options, configuration, providers)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _check(configuration: Configuration, providers: Mapping[str, Provider]) -> None:
    """Raise ConfigurationError for whatever would keep the application from being made."""
    create_app(configuration.settings, build_sources(configuration, providers), providers=providers)


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket, not listening yet. Raises ConfigurationError naming the remedy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise ConfigurationError(f"--host: {host} is no address of this machine; try 127.0.0.1.") from None
    # With the protocol named, asyncio switches Nagle's delay off for the connections.
    listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            remedy = "stop what listens there, or choose another with --port (0 takes a free one)"
            raise ConfigurationError(f"--port: {port} on {host} is in use; {remedy}.") from None
        if error.errno == errno.EACCES:
            raise ConfigurationError(f"--port: {port} needs more rights; choose one above 1023.") from None
        raise ConfigurationError(f"--host: cannot listen on {host} ({error.strerror}); try 127.0.0.1.") from None
    return listener


def _uvicorn_config(app: object, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=isinstance(app, str),
        workers=workers,
        http="h11",  # refuses oversized headers, which httptools takes
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )


class _Server(uvicorn.Server):
    """Says where it listens once it does."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._greeting, flush=True)


def _serve_alone(
    listener: socket.socket, options: Options, configuration: Configuration, providers: Mapping[str, Provider]
) -> int:
    sources = build_sources(configuration, providers)
    app = create_app(configuration.settings, sources, providers=providers, sandbox=configuration.sandbox)
    server = _Server(_uvicorn_config(app), _greeting(listener, options, configuration, sources))
    try:
        server.run(sockets=[listener])
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0 if server.started else 1


def _serve_with_workers(
    listener: socket.socket, options: Options, configuration: Configuration, providers: Mapping[str, Provider]
) -> int:
    sources = build_sources(configuration, providers)
    greeting = _greeting(listener, options, configuration, sources)
    asyncio.run(_close(sources))
    # Listening already here: callers wait in the queue for the first worker and are not refused.
    listener.listen(2048)
    print(greeting, flush=True)
    config = _uvicorn_config("app.main:create_app_from_environment", options.workers)
    supervisor = Multiprocess(config, sockets=[listener])
    supervisor.run()
    return 1 if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


async def _close(sources: Sequence[Source]) -> None:
    for source in sources:
        await source.aclose()


def _greeting(
    listener: socket.socket, options: Options, configuration: Configuration, sources: Sequence[Source]
) -> str:
    host, port = listener.getsockname()[:2]
    # An address that means "all of them" is none that one can call.
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    names = ", ".join(f"{source.name} ({source.provider})" for source in sources)
    lines = [f"Audit gateway on {url}", f"  sources  {names}"]
    header = "-H 'Authorization: Bearer $KEY' "
    if configuration.settings.auth == "off":
        lines.append("  no key   GATEWAY_AUTH=off: whoever reaches this port reads everything")
        header = ""
    elif configuration.sandbox:
        lines.append(f"  key      {SANDBOX_KEY}  (invented data; it grants everything)")
        header = f"-H 'Authorization: Bearer {SANDBOX_KEY}' "
    else:
        header = header.replace("'", '"')  # so that the shell fills in $KEY
        lines.append("  key      yours; make one with: audit-gateway keys new --help")
    lines += [f"  try      curl {header}'{url}/events?limit=5'", f"  look     {url}/docs"]
    if not is_loopback(str(host)):
        lines.append(f"  note     listens on {host}: every machine that reaches this one can call it")
    return "\n".join(lines)
