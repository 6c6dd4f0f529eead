"""`audit-gateway serve`: check the settings, bind, print the address, serve with uvicorn, and stop gracefully."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO, cast

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from app.api.api_keys import SANDBOX_KEY, ApiKey, hash_of, new_key
from app.api.auth import require_loopback
from app.api.metrics import MULTIPROCESS_VARIABLE
from app.config import Configuration, load_configuration, read_environment
from app.domain.caller import SCOPES
from app.domain.errors import ConfigurationError
from app.logs import QueuedStream, configure_logging
from app.main import PARENT_VARIABLE, assemble
from app.providers.base import Source
from app.providers.http.network import Network, is_loopback
from app.tracing import tracing_warnings

#: Set by `serve --sandbox` for its workers: a JSON object of the variables that point at the emulators.
_SANDBOX_VARIABLE = "_AUDIT_GATEWAY_SANDBOX"

_ALLOCATIONS = 10_000  #: net allocations of containers that start a collection of the youngest generation

_log = structlog.get_logger("gateway")


def serve_gateway(
    *, sandbox: bool, sandbox_events: int, host: str, port: int, workers: int, config: Path | None
) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code. Raises ConfigurationError before anything listens."""
    log = cast(TextIO, QueuedStream(sys.stderr))
    configure_logging(log)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Inherited from another `serve`, it would make this one a sandbox without emulators.
    os.environ.pop(_SANDBOX_VARIABLE, None)
    if config is not None:
        os.environ["GATEWAY_CONFIG"] = str(config)
    Network(read_environment())  # raises for an invalid variable before the server listens, also in a sandbox
    configuration = load_configuration(sandbox_environment={} if sandbox else None)
    settings = configuration.settings
    os.environ["GATEWAY_LOG_LEVEL"], os.environ["GATEWAY_LOG_FORMAT"] = settings.log_level, settings.log_format
    configure_logging(log)  # with the levels of the TOML file and .env; the workers read the environment
    key = None  # to print
    if settings.auth == "off":
        require_loopback(host)
    elif sandbox:
        key = SANDBOX_KEY
    elif is_loopback(host) and not (settings.api_keys or settings.api_keys_file or settings.jwt_issuer):
        key = new_key()
        line = ApiKey("this-run", hash_of(key), frozenset(SCOPES)).line()
        os.environ["GATEWAY_API_KEYS"] = line  # for the workers
        settings = settings.model_copy(update={"api_keys": SecretStr(line)})
        configuration = msgspec.structs.replace(configuration, settings=settings)
    with ExitStack() as stack:
        listener = stack.enter_context(_bind(host, port))
        if sandbox:
            from sandbox.launcher import start_sandbox

            running = stack.enter_context(start_sandbox(events=sandbox_events))
            os.environ[_SANDBOX_VARIABLE] = json.dumps(running.env)
            configuration = msgspec.structs.replace(configuration, environment=running.env)
        if workers > 1:
            # The workers read the environment, and all need the same generated secret.
            os.environ["GATEWAY_CURSOR_SECRET"] = ",".join(settings.cursor_secrets)
            # Shared counters: a scrape reaches one worker and must show all.
            counters = stack.enter_context(TemporaryDirectory(prefix="audit-gateway-metrics-"))
            os.environ[MULTIPROCESS_VARIABLE] = counters
        app = assemble(configuration)
        for warning in (*configuration.warnings, *tracing_warnings(os.environ)):
            _log.warning("configuration", problem=warning)
        greeting = _greeting(listener, configuration, app.state.feed.sources.values(), key)
        _tune_gc()
        options: dict[str, Any] = {
            "ws": "none", "lifespan": "on", "log_config": None, "access_log": False, "server_header": False,
            # No request takes longer than the deadline, so all requests in flight complete before the server stops.
            "timeout_graceful_shutdown": math.ceil(settings.deadline) + 1,
        }  # fmt: skip
        if workers == 1:
            server = _Server(uvicorn.Config(app, **options), greeting)
            try:
                server.run(sockets=[listener])
            except SystemExit as stop:
                return stop.code if isinstance(stop.code, int) else 0
            return 0 if server.started else 1
        asyncio.run(app.state.feed.aclose())
        factory = f"{__name__}:{create_app_from_environment.__name__}"
        listeners = _listen(listener, workers)
        print(greeting, flush=True)
        os.environ[PARENT_VARIABLE] = str(os.getpid())
        supervisor = _Workers(uvicorn.Config(factory, factory=True, workers=workers, **options), listeners)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # not the supervisor's handler; the workers inherit it
        supervisor.run()
        return 1 if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0


def create_app_from_environment() -> FastAPI:
    """Return the application for the environment, in a worker process. Raises ConfigurationError."""
    configure_logging(cast(TextIO, QueuedStream(sys.stderr)))
    sandbox = os.environ.get(_SANDBOX_VARIABLE)
    app = assemble(load_configuration(sandbox_environment=json.loads(sandbox) if sandbox else None))
    _tune_gc()
    return app


def _tune_gc() -> None:
    """Freeze the modules loaded so far and collect less often.

    Full collections went through all modules: 130 ms each, 10 % of the processor time of an export, and a stall of
    the event loop for every other request.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


def _bind(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet. Raises ConfigurationError with the remedy."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With an explicit protocol, asyncio disables Nagle's delay.
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
    except (OSError, UnicodeError):  # the latter for a label of more than 63 characters
        raise ConfigurationError(f"--host: {host} is no address of this machine; try 127.0.0.1.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        remedy = "choose another with --port (0 takes a free one), or --host."
        raise ConfigurationError(f"--port: {port} on {host} {what}; {remedy}") from None
    return listener


class _Server(uvicorn.Server):
    """Print the address once the server listens."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self._greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._greeting, flush=True)


class _Workers(Multiprocess):
    """uvicorn's supervisor with four differences that `tests/operations/test_graceful_shutdown.py` shows.

    Each worker has a listener of its own, if there is one for each; the replacement of a crashed worker has all. The
    listeners are closed when the workers stop, because new callers would wait in a queue that no process serves. A
    second SIGTERM or SIGINT reaches the workers immediately. SIGHUP has no effect, as in a server of one process: API
    keys are read again without a signal, and logs go to standard error.
    """

    def init_processes(self) -> None:
        for number in range(self.processes_num):
            process = Process(self.config, [self.sockets[number % len(self.sockets)]])
            process.start()
            self.processes.append(process)

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        while alive := [process for process in self.processes if process.process.is_alive()]:
            if self.signal_queue:
                for process in alive:
                    # In each round, because a signal directly after the first one is merged with it.
                    process.process.terminate()
            alive[0].process.join(0.1)


def _listen(listener: socket.socket, workers: int) -> list[socket.socket]:
    """Return listening sockets on the address of `listener`: one for each worker on Linux, else `listener` alone.

    Workers that share a listener leave several connections that arrive together to the one that wakes up first. The
    kernel spreads connections over several listeners with SO_REUSEPORT; other systems do not. The option is set after
    the exclusive `bind`, so that a second gateway on this port is still refused.
    """
    listeners = [listener]
    if sys.platform == "linux":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(workers - 1):
            another = socket.socket(listener.family, listener.type, listener.proto)
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            another.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            another.bind(listener.getsockname())
            listeners.append(another)
    for each in listeners:
        # Callers wait for the first worker instead of being refused.
        each.listen(2048)
    return listeners


def _greeting(listener: socket.socket, configuration: Configuration, sources: Iterable[Source], key: str | None) -> str:
    host, port = listener.getsockname()[:2]
    # A wildcard address cannot be called.
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    lines = [f"Audit gateway on {url}", *(f"  source   {source.name} ({source.provider})" for source in sources)]
    if configuration.settings.auth == "off":
        lines.append("  no key   GATEWAY_AUTH=off: every program that reaches this port reads everything")
        header = ""
    elif key is None:
        lines.append("  key      yours, in $KEY; make one with: audit-gateway keys new --help")
        header = '-H "Authorization: Bearer $KEY" '
    else:
        sandbox = "invented data; it grants everything"
        made = "made for this run, grants everything; for lasting ones: audit-gateway keys new --help"
        lines.append(f"  key      {key}  ({sandbox if configuration.sandbox else made})")
        header = f"-H 'Authorization: Bearer {key}' "
    lines.append(f"  try      curl {header}'{url}/events?limit=5'")
    if not is_loopback(str(host)):
        lines.append(f"  note     listens on {host}: every machine that reaches this one can call it")
    return "\n".join([*lines, f"  look     {url}/ui", f"  API      {url}/docs"])
