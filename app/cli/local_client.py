"""The client that reads the configured accounts directly: the engine in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from app.api.rendering import encode, render_event, render_page, totals_body
from app.api.routes.sources import source_info
from app.assembly import build_sources
from app.cli.client import Json, Page, Pairs, Problem
from app.config import Configuration, load_configuration
from app.domain.caller import SCOPES, Caller
from app.domain.errors import CursorMismatch, GatewayError, ParameterError, SourceError, SourcesFailed
from app.domain.parameters import read_query
from app.domain.query import CountQuery, EventQuery, SingleEventQuery
from app.feed import Feed, FeedSettings
from app.providers.base import Provider
from app.providers.registry import find_providers

T = TypeVar("T")

#: A caller who can read the settings has the accounts' own keys: masking would hide nothing.
_OPERATOR = Caller("terminal", frozenset(SCOPES))

# Cursors of this process lie in files beside exports, and the next process opens them. No server opens them, and
# whoever could forge one can read the accounts, so a public secret suffices.
_LOCAL_SECRET = "cursors of the engine in the terminal's own process"


class FeedClient:
    """`config` is a TOML file, None for GATEWAY_CONFIG. Raises ConfigurationError."""

    def __init__(self, config: Path | None) -> None:
        configuration = load_configuration(config)
        providers = find_providers(configuration.provider_paths)
        self._feed = Feed(build_sources(configuration, providers), _feed_settings(configuration, providers))
        self._runner = asyncio.Runner()

    def page(self, pairs: Pairs) -> Page:
        async def ask() -> bytes:
            return render_page(await self._feed.page(read_query(EventQuery, pairs), _OPERATOR), _OPERATOR)

        # Through the API's own bytes, so that both ways give the same values.
        return Page.of(json.loads(self._run(ask())))

    def event(self, event_id: str, pairs: Pairs) -> Json:
        async def ask() -> bytes:
            query = read_query(SingleEventQuery, pairs)
            return render_event(await self._feed.event(event_id, _OPERATOR), _OPERATOR, bool(query.include))

        body: Json = json.loads(self._run(ask()))
        return body

    def count(self, pairs: Pairs) -> Json:
        async def ask() -> bytes:
            totals = await self._feed.totals(read_query(CountQuery, pairs), _OPERATOR)
            return encode(totals_body(totals))

        body: Json = json.loads(self._run(ask()))
        return body

    def sources(self) -> list[Json]:
        body = json.loads(encode({"data": [source_info(source) for source in self._feed.sources.values()]}))
        return list(body["data"])

    def close(self) -> None:
        try:
            self._runner.run(self._feed.aclose())
        finally:
            self._runner.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except GatewayError as error:
            raise _problem(error) from None


def _feed_settings(configuration: Configuration, providers: Mapping[str, Provider]) -> FeedSettings:
    settings = configuration.settings
    own = "cursor_secret" in settings.model_fields_set
    return FeedSettings(
        cursor_secrets=settings.cursor_secrets if own else (_LOCAL_SECRET,),
        deadline=settings.deadline,
        scan=settings.scan,
        default_window=settings.default_window_micros,
        totals_ttl=settings.totals_ttl,
        mapping=[row for provider in providers.values() for row in provider.mapping],
    )


def _problem(error: GatewayError) -> Problem:
    failed: list[SourceError] = []
    if isinstance(error, SourcesFailed):
        failed = list(error.errors)
    elif isinstance(error, SourceError):
        failed = [error]
    waits = [one.retry_after for one in failed if one.retry_after is not None]
    return Problem(
        error.code,
        error.detail,
        errors=error.errors if isinstance(error, (ParameterError, CursorMismatch)) else (),
        sources=[
            {"name": one.source, "code": one.code, "detail": one.detail, "provider_request_id": one.provider_request_id}
            for one in failed
        ],
        retry_after=max(waits, default=None),
    )
