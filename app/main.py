"""Create the application from a configuration, and shut it down gracefully."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.middleware.gzip import GZipMiddleware

from app.api.auth import make_authenticator
from app.api.metrics import MULTIPROCESS_VARIABLE, Metrics
from app.api.middleware import CorsMiddleware, LargePages, RequestMiddleware, Slots
from app.api.openapi import TITLE, install_openapi
from app.api.problems import install_problems
from app.api.request_log import AuditTrail
from app.api.routes import envelopes, events, export, manifests, service, stream
from app.api.routing import READ
from app.config import Configuration, Settings, read_environment
from app.domain.errors import ConfigurationError
from app.evidence import SigningKey
from app.feed.model import FeedSettings
from app.feed.service import Feed
from app.feed.warnings import known_values
from app.providers.base import CommonSettings, Provider, Source
from app.providers.http.network import Network
from app.providers.observer import Observer
from app.providers.registry import find_providers, make_sources, provider_paths
from app.providers.shared import SharedState
from app.tracing import start_tracing

_log = structlog.get_logger("gateway")

#: Response headers that a browser's scripts may read.
EXPOSED = (
    "Link", "Export-Cursor", "Export-Manifest", "Content-Disposition", "X-Request-ID", "Retry-After", "RateLimit",
    "RateLimit-Policy", "WWW-Authenticate",
)  # fmt: skip

#: Headers that a browser's scripts may send.
ALLOWED = (
    "Authorization", "X-API-Key", "X-Request-ID", "Cache-Control", "Last-Event-ID", "traceparent", "tracestate",
    "baggage",
)  # fmt: skip

#: FastAPI's own tracing would put queries, paths and texts of exceptions into spans and logs, as soon as any code sets
#: a provider for the process or FASTAPI_OTEL_AUTO_CONFIGURE.
NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip


class NoSource(ConfigurationError):
    """No source is configured."""


def assemble(configuration: Configuration) -> FastAPI:
    """Return the application of a configuration. Raises ConfigurationError, NoSource."""
    settings, environment, providers = configuration.settings, configuration.environment, configuration.providers
    metrics, shared = Metrics(), None
    if settings.redis_url is not None:
        variables = {name: environment.get(name) for provider in providers.values() for name in provider.variables}
        accounts = json.dumps([variables, configuration.tables], sort_keys=True, default=str)
        shared = SharedState(settings.redis_url.get_secret_value(), settings.cursor_secrets[0], metrics, accounts)
    sources = build_sources(configuration, metrics, shared)
    sandbox = configuration.sandbox
    return create_app(settings, sources, providers=providers, sandbox=sandbox, metrics=metrics, shared=shared)


def build_sources(
    configuration: Configuration, observer: Observer | None = None, shared: SharedState | None = None
) -> list[Source]:
    """Return the configured sources; `shared` is their state in common with other replicas. Raises ConfigurationError,
    NoSource."""
    settings, providers = configuration.settings, configuration.providers
    common = CommonSettings(
        settle=settings.settle,
        max_concurrency=settings.source_concurrency,
        max_rate=settings.source_rate,
        observer=observer or Observer(),
        network=Network(configuration.environment),
        shared=shared,
    )
    found = make_sources(providers, configuration.environment, configuration.tables, common)
    if not found:
        ways = "; ".join(f"{one.title}: {' and '.join(one.needed or one.variables)}" for one in providers.values())
        raise NoSource(
            f"No source is configured. Set a provider's variables ({ways}),"
            " or try it without any account: audit-gateway serve --sandbox"
        )
    return found


def create_app(
    settings: Settings,
    sources: Sequence[Source],
    *,
    providers: Mapping[str, Provider] | None = None,
    sandbox: bool = False,
    metrics: Metrics | None = None,
    shared: SharedState | None = None,
    local: bool = False,
) -> FastAPI:
    """Return the application over `sources`, which it closes at its end. `providers` None: all; `metrics`: the sources'
    observer; `shared`: state in common with other replicas.

    `sandbox`: the key `sandbox` opens everything; only ever with emulators as sources. `local`: the application answers
    its own process alone, and writes neither log lines nor an audit trail of requests. Does no I/O but reading the API
    keys' file. Raises ConfigurationError.
    """
    providers = find_providers(provider_paths(read_environment())) if providers is None else providers
    metrics = metrics or Metrics()
    pseudonyms = settings.pseudonyms if settings.pseudonymize else None
    feed = Feed(
        sources,
        FeedSettings(
            cursor_secrets=settings.cursor_secrets,
            deadline=settings.deadline,
            scan=settings.scan,
            default_window=settings.default_window // timedelta(microseconds=1),
            totals_ttl=settings.totals_ttl,
            observer=metrics,
            shared=shared,
            pseudonyms=pseudonyms,
            mapping={name: provider.mapping for name, provider in providers.items()},
        ),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        def begin_to_stop() -> None:
            app.state.ready = False

        async with AsyncExitStack() as stopping:  # one after another, and all of them if one fails
            if tracing is not None:
                stopping.push_async_callback(tracing.stop)
            if shared is not None:
                await shared.check()
                stopping.push_async_callback(shared.aclose)
            stopping.push_async_callback(feed.aclose)
            stopping.push_async_callback(authenticator.aclose)
            stopping.callback(asyncio.create_task(stop_with_parent()).cancel)
            stopping.callback(begin_to_stop)
            app.state.ready = True
            with graceful_shutdown(begin_to_stop, settings.shutdown_grace):
                yield

    app = FastAPI(
        title=TITLE, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )  # fmt: skip
    app.state.ready = False
    app.state.feed = feed
    app.state.providers = providers
    app.state.sandbox = sandbox
    app.state.metrics = metrics
    app.state.shared = shared
    app.state.pseudonyms = pseudonyms
    app.state.page_cache = events.PageCache(settings.page_cache_ttl) if settings.page_cache_ttl else None
    app.state.large_pages = LargePages()
    counters = os.environ.get(MULTIPROCESS_VARIABLE)  # a folder that all workers of `serve --workers` share
    app.state.manifests = manifests.Manifests(shared, None if not counters else Path(counters, "manifests"))
    app.state.signing_key = None if settings.signing_key_file is None else SigningKey.read(settings.signing_key_file)
    app.state.export_deadline = settings.export_deadline
    app.state.stream_heartbeat = settings.stream_heartbeat
    app.state.broadcaster = stream.EventBroadcaster(feed, pseudonyms, poll=settings.stream_poll)
    app.state.stream_slots = Slots("streams", settings.key_streams)
    app.state.export_slots = Slots("exports", settings.key_exports)
    app.state.authenticator = authenticator = make_authenticator(settings, sandbox, shared)
    routes = [
        route for module in (export, manifests, stream, events, envelopes, service) for route in module.router.routes
    ]
    # The most frequent one first. `include_router` would create every route twice, and find one in two steps.
    app.router.routes.extend(sorted(routes, key=lambda route: getattr(route, "path", "") != "/events"))
    install_openapi(app, providers)
    install_problems(app)
    # The last one added is the outermost.
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    most = {"pages": settings.max_in_flight, "exports": settings.max_in_flight, "streams": settings.stream_listeners}
    # Loggable values of each parameter: words of the gateway or the vendors, no personal data.
    rows = [row for provider in providers.values() for row in provider.mapping]
    words = {"source": [source.name for source in sources], "provider": [*providers], **known_values(rows)}
    audit = None if local else AuditTrail(settings.pseudonyms, words)
    cors = partial(
        CorsMiddleware, allow_origins=settings.cors_origins, allow_methods=READ, allow_headers=ALLOWED,
        expose_headers=EXPOSED,
    ) if settings.cors_origins else None  # fmt: skip
    app.add_middleware(RequestMiddleware, most=most, metrics=metrics, audit=audit, around=cors)
    tracing = start_tracing(app, os.environ)
    return app


#: Set by `serve --workers N` for its workers: the process id of their supervisor.
PARENT_VARIABLE = "_AUDIT_GATEWAY_PARENT"

_PARENT_CHECK = 1.0  #: seconds


async def stop_with_parent() -> None:
    """Stop this worker with SIGTERM once its supervisor is gone; return at once in a process that has none.

    Without it, workers whose supervisor was killed keep the port and serve for ever with old settings.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is None or int(parent) == os.getpid():
        return
    while os.getppid() == int(parent):  # noqa: ASYNC110 - no event announces the end of another process
        await asyncio.sleep(_PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def graceful_shutdown(begin: Callable[[], None], seconds: float) -> Iterator[None]:
    """While the block runs in a uvicorn server, SIGTERM calls `begin` at once and stops the server `seconds` later
    (GATEWAY_SHUTDOWN_GRACE).

    The server answers until then, so that load balancers see the failed readiness first. A second SIGTERM stops it at
    once, and so does SIGINT, because a person waits for it; both call `begin` first, which ends responses without an
    end (streams). uvicorn's supervisor makes its servers itself, so this is set up in the lifespan, where every worker
    passes. Does nothing where another component handles the signals.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server = getattr(handler, "__self__", None)
    if not isinstance(server, uvicorn.Server) or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    is_stopping = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        begin()
        if number == signal.SIGTERM and seconds > 0 and not is_stopping:
            loop.call_soon_threadsafe(loop.call_later, seconds, server.handle_exit, number, frame)
        else:
            server.handle_exit(number, frame)
        is_stopping = True

    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGTERM, on_signal)
    if getattr(interrupt, "__self__", None) is server:
        signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, interrupt)
