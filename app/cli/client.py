"""The commands' client of the API: of a running gateway, or of one in this process; and walks through its pages by
cursor, with retries of temporary failures.

The CLI queries the gateway at GATEWAY_URL with the key GATEWAY_KEY (both also from `.env`). If GATEWAY_URL is unset, or
with `--config`, the application runs in this process, over the configured accounts and with every scope.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from pydantic import SecretStr

from app.cli.failures import TRANSIENT, USAGE, Failure, Problem, print_error, sentence
from app.config import load_configuration, read_environment
from app.domain.errors import ConfigurationError
from app.forward import Json, Page, Pairs
from app.providers.http.network import Network

if TYPE_CHECKING:
    from fastapi import FastAPI

MAX_PAGE = 1000  #: events in one page of the API
POLL = 5.0  #: seconds between a follower's requests while there are no new events
_ATTEMPTS = 6  #: for one page: about a minute in total
SEGMENT = 5000  #: events of one signed segment, held in memory
_LONGEST = 60.0  #: seconds to wait between two attempts

Found = TypeVar("Found")

#: Seconds. An exact count may take the gateway's whole deadline, which its operator chooses.
_CONNECT, _RESPONSE = 10.0, 180.0

# Cursors of a process lie in files beside exports, and the next process opens them. No server opens them, and a person
# who could forge one can read the accounts, so a public secret suffices.
_LOCAL_SECRET = "cursors of the engine in the terminal's own process"

_KEY = re.compile(r"[\x21-\x7e]+\Z")

#: Paths without an id: `not_found` means that no gateway is there.
_FIXED = ("/events", "/events/count", "/events/export", "/sources")


class Client:
    """One gateway. Each call raises Problem.

    `url` is the gateway's, with a path if it lies under one; `key` its API key, None for none. Raises
    ConfigurationError, which quotes neither."""

    def __init__(self, url: str, key: str | None, transport: httpx.BaseTransport | None = None) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigurationError("GATEWAY_URL is no address of a gateway; it looks like http://127.0.0.1:8000")
        self._shown = str(parsed.copy_with(userinfo=b""))
        if key is not None and not _KEY.match(key):
            raise ConfigurationError("GATEWAY_KEY is no API key: it has a space or another character that no key has.")
        self._has_key = key is not None
        # No redirects, which would send the key to another server.
        self._http = httpx.Client(
            base_url=url,
            headers={"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key is not None else {})},
            timeout=httpx.Timeout(_RESPONSE, connect=_CONNECT),
            follow_redirects=False,
            transport=transport,
            **Network(read_environment()).client_options(url),
        )

    def close(self) -> None:
        self._http.close()

    def page(self, pairs: Pairs) -> Page:
        """Return one page of `GET /events`."""
        body = self.get("/events", pairs)
        try:
            page = body["page"]
            state, sources = (bool(page["has_more"]), page["next_cursor"], body["window"]), body["sources"]
            is_unproven = any(source.get("unproven") for source in sources)
            return Page(list(body["data"]), *state, sources, body.get("warnings") or (), is_unproven)
        except (KeyError, TypeError, AttributeError):
            raise self._not_a_gateway("its response is no page of events") from None

    def segment(self, pairs: Pairs) -> bytes:
        """Return one response of `GET /events/export` in NDJSON, with its last line."""
        return self._send("/events/export", pairs).content

    def get(self, path: str, pairs: Pairs = ()) -> Json:
        """Return the body of a 200 response."""
        body = _object(self._send(path, pairs))
        if body is None:
            raise self._not_a_gateway("its response is no JSON object")
        return body

    def _send(self, path: str, pairs: Pairs) -> httpx.Response:
        try:
            response = self._http.get(path, params=list(pairs))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            detail = f"GATEWAY_URL: {self._shown} cannot be reached ({error}); start it with audit-gateway serve, give"
            remedy = "its address, or unset GATEWAY_URL to read the configured sources from here."
            raise Problem("unreachable", f"{detail} {remedy}") from None
        except httpx.HTTPError as error:
            name = type(error).__name__
            raise Problem("no_answer", f"The gateway at {self._shown} does not answer ({name}); try again.") from None
        if response.status_code != 200:
            raise self._problem(response, path)
        return response

    def _problem(self, response: httpx.Response, path: str) -> Problem:
        status = response.status_code
        if status == 401:
            why = "does not accept the key in GATEWAY_KEY" if self._has_key else "needs a key; GATEWAY_KEY is not set"
            return Problem("unauthenticated", f"The gateway at {self._shown} {why}")
        body = _object(response)
        if body is None or not isinstance(code := body.get("code"), str):
            if status >= 500 or status == 429:
                return Problem("no_answer", f"The gateway at {self._shown} answered {status}; try again.")
            return self._not_a_gateway(f"it answered {status}")
        if code == "not_found" and path in _FIXED:
            return self._not_a_gateway("it has no such path")
        wait = response.headers.get("retry-after", "")
        return Problem(
            code,
            str(body.get("detail") or body.get("title") or code),
            [(str(each.get("parameter")), str(each.get("message"))) for each in _objects(body.get("errors"))],
            _objects(body.get("sources")),
            float(wait) if wait.isascii() and wait.isdigit() and len(wait) < 7 else None,
        )

    def _not_a_gateway(self, why: str) -> Problem:
        return Problem("not_a_gateway", f"GATEWAY_URL: {self._shown} is no audit gateway ({why}); give its address.")


def _object(response: httpx.Response) -> Json | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _objects(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


class LocalTransport(httpx.BaseTransport):
    """Call an application in this process, which runs until `close`; one call at a time, from any thread."""

    def __init__(self, app: FastAPI) -> None:
        self._runner = asyncio.Runner()
        self._lifespan = app.router.lifespan_context(app)
        self._runner.run(self._lifespan.__aenter__())
        self._app = httpx.ASGITransport(app)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"

        async def call() -> httpx.Response:
            response = await self._app.handle_async_request(request)
            return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())

        with self._lock:
            return self._runner.run(call())

    def close(self) -> None:
        with self._runner:
            self._runner.run(self._lifespan.__aexit__(None, None, None))


@contextmanager
def connected(config: Path | None, *, signs: bool = False) -> Iterator[Client]:
    """Yield the client for the settings, and close it. `config` is the value of `--config`; `signs`: exports are
    signed. Raises ConfigurationError."""
    # Not the server's settings, whose errors must not stop a client.
    environment = read_environment()
    url = None if config is not None else environment.get("GATEWAY_URL")
    if url is not None:
        client = Client(url, environment.get("GATEWAY_KEY"))
    else:
        from app.main import NoSource

        try:
            client = Client("http://127.0.0.1", None, LocalTransport(_local_app(config, signs)))
        except NoSource as error:
            if config is not None:
                raise
            other = "To ask a gateway that runs: set GATEWAY_URL and GATEWAY_KEY"
            raise ConfigurationError(f"{error.detail}. {other}") from None
    with closing(client):
        yield client


def _local_app(config: Path | None, signs: bool) -> FastAPI:
    """Return an application for this process alone: without an API key, with every scope. Raises ConfigurationError,
    NoSource."""
    from app.main import build_sources, create_app

    configuration = load_configuration(config)
    settings = configuration.settings
    changes: dict[str, object] = dict.fromkeys(("rate", "redis_url", "jwt_issuer", "jwt_audience", "jwt_jwks"))
    if not signs:
        changes["signing_key_file"] = None
    if "cursor_secret" not in settings.model_fields_set:
        changes["cursor_secret"] = SecretStr(_LOCAL_SECRET)
    settings = settings.model_copy(update={**changes, "auth": "off"})
    return create_app(settings, build_sources(configuration), providers=configuration.providers, local=True)


def walk(
    client: Client, pairs: Pairs, *, cursor: str | None = None, most: int | None = None, follow: bool = False
) -> Iterator[Page]:
    """Yield pages until none is left, or `most` (at least 1) events were read. A `cursor` replaces all of `pairs`
    except `partial`. `follow`: then wait for new events, without end.

    The first page is requested once. For temporary failures, later ones are requested up to six times, or without limit
    if `follow`, with growing pauses. With `partial`, a failure of only those sources that failed on the previous page
    is not retried. Raises Problem."""
    kept = [pair for pair in pairs if pair[0] == "partial"]
    attempts, left = 1.0, most
    failed: set[str] = set()
    while True:
        limit = MAX_PAGE if left is None else min(left, MAX_PAGE)
        asked = [*(pairs if cursor is None else [("cursor", cursor), *kept]), ("limit", str(limit))]
        page = _with_retries(partial(client.page, asked), attempts, failed)
        if left is not None:
            left -= len(page.events)
        yield page
        cursor = page.next_cursor
        if left == 0 or cursor is None or not (page.has_more or follow):
            return
        if follow:
            attempts = math.inf
            if not page.has_more:
                sleep(POLL)
        else:
            attempts, failed = _ATTEMPTS, {one["name"] for one in page.sources if one["status"] == "failed"}


def signed_walk(client: Client, pairs: Pairs, *, cursor: str | None = None) -> Iterator[tuple[Page, bytes]]:
    """Yield the signed segments of an NDJSON export: events as a page, and the segment's bytes. Each is requested up to
    six times. Raises Problem, and Failure if the gateway does not sign."""

    def segment() -> tuple[Page, bytes]:
        data = client.segment([*(pairs if cursor is None else [("cursor", cursor)]), ("limit", str(SEGMENT))])
        try:
            *events, end = map(json.loads, data.splitlines())
            following, reason = end["cursor"], end.get("reason")
        except (ValueError, TypeError, KeyError):
            raise Problem("no_answer", "The export ended without its last line; try again.") from None
        if "manifest" not in end:
            raise Failure("the gateway signs no exports: set GATEWAY_SIGNING_KEY_FILE for it", USAGE)
        if following is not None and not events and reason not in ("deadline", "limit"):
            # From the same cursor: a missing segment would break the chain of manifests.
            raise Problem(str(reason), f"The gateway could not read on ({reason}).")
        # The sources of the last line in the form of a page.
        refused, notes, unread = (end.get(name) or {} for name in ("forbidden", "notes", "bad_records"))
        states = [{"name": name, "status": "forbidden", "reason": why} for name, why in refused.items()]
        texts = [*notes.items(), *((name, f"{count} records that cannot be read") for name, count in unread.items())]
        states += [{"name": name, "status": "ok", "reason": text} for name, text in texts]
        return Page(events, following is not None, following, {}, states, unproven=reason == "unproven"), data

    while True:
        page, data = _with_retries(segment, _ATTEMPTS)
        yield page, data
        if (cursor := page.next_cursor) is None:
            return


def _with_retries(call: Callable[[], Found], attempts: float, failed: Collection[str] = ()) -> Found:
    """Return the result of `call`, within `attempts`. Failures of only the `failed` sources are not retried."""
    attempt, noticed = 0, ""
    while True:
        attempt += 1
        try:
            return call()
        except Problem as problem:
            if problem.code not in TRANSIENT or attempt >= attempts:
                raise
            if problem.sources and all(source.get("name") in failed for source in problem.sources):
                raise
            pause = min(_LONGEST, max(problem.retry_after or 0.0, 2.0 ** min(attempt - 1, 6)))
            notice = f"{sentence(problem)}; waiting to try again"
            if notice != noticed:
                print_error(notice)
                noticed = notice
        sleep(pause)
