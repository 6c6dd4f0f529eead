"""The commands' client of the API: of a running gateway, or of one in this process.

The CLI queries the gateway at GATEWAY_URL with the key GATEWAY_KEY (both also from `.env`). If GATEWAY_URL is unset, or
with `--config`, the application runs in this process, over the configured accounts and with every scope.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import SecretStr

from app.config import load_configuration, read_environment
from app.domain.errors import ConfigurationError
from app.forward import Json, Page, Pairs
from app.providers.http.network import Network

if TYPE_CHECKING:
    from fastapi import FastAPI

#: Seconds. An exact count may take the gateway's whole deadline, which its operator chooses.
_CONNECT, _RESPONSE = 10.0, 180.0

# Cursors of a process lie in files beside exports, and the next process opens them. No server opens them, and a person
# who could forge one can read the accounts, so a public secret suffices.
_LOCAL_SECRET = "cursors of the engine in the terminal's own process"

_KEY = re.compile(r"[\x21-\x7e]+\Z")

#: Paths without an id: `not_found` means that no gateway is there.
_FIXED = ("/events", "/events/count", "/events/export", "/sources")


@dataclass(eq=False)
class Problem(Exception):
    """A call that failed. `code` is of contract section 7, or `unreachable`, `no_answer` or `not_a_gateway`.

    `errors` are (parameter, message) pairs; `sources` are the problem's `sources[]`; `retry_after` is in seconds."""

    code: str
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    sources: Sequence[Json] = ()
    retry_after: float | None = None


class Client:
    """One gateway. Each call raises Problem.

    `url` is the gateway's, with a path if it lies under one; `key` its API key, None for none. Raises
    ConfigurationError, which quotes neither."""

    def __init__(self, url: str, key: str | None, transport: httpx.BaseTransport | None = None) -> None:
        self._shown = _without_credentials(url)
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


def _without_credentials(url: str) -> str:
    with suppress(httpx.InvalidURL):
        parsed = httpx.URL(url)
        if parsed.scheme in ("http", "https") and parsed.host:
            return str(parsed.copy_with(userinfo=b""))
    raise ConfigurationError("GATEWAY_URL is no address of a gateway; it looks like http://127.0.0.1:8000")


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
