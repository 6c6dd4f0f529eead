"""A client of a gateway that runs elsewhere."""

from __future__ import annotations

import re
import socket
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from app.cli.client import Json, Page, Pairs, Problem
from app.config import read_environment
from app.domain.errors import ConfigurationError
from app.providers.http.network import Network

#: Seconds. An exact count may take the gateway's whole deadline, which is its operator's to choose.
_CONNECT, _ANSWER = 10.0, 180.0

_KEY = re.compile(r"[\x21-\x7e]+\Z")


class HttpClient:
    """`url` is the gateway's, with a path if it lies under one; `key` its API key, None for none. Raises
    ConfigurationError, which quotes neither."""

    def __init__(self, url: str, key: str | None, transport: httpx.BaseTransport | None = None) -> None:
        parts = _parts(url)
        if key is not None and not _KEY.match(key):
            raise ConfigurationError("GATEWAY_KEY is no API key: it has a space or another character that no key has.")
        self._shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._has_key = key is not None
        headers = {"Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        # Redirects are not followed: they would take the key to wherever they point.
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(_ANSWER, connect=_CONNECT),
            follow_redirects=False,
            transport=transport,
            **Network(read_environment()).client_options(url),
        )

    def page(self, pairs: Pairs) -> Page:
        body = self._get("/events", pairs)
        try:
            return Page.of(body)
        except (KeyError, TypeError):
            raise self._not_a_gateway("its answer is no page of events") from None

    def event(self, event_id: str, pairs: Pairs) -> Json:
        body = self._get(f"/events/{quote(event_id, safe='')}", pairs, has_id=True)
        if not isinstance(body, dict) or "occurred_at" not in body:
            raise self._not_a_gateway("its answer is no event")
        return body

    def count(self, pairs: Pairs) -> Json:
        body = self._get("/events/count", pairs)
        if not isinstance(body, dict) or not isinstance(body.get("sources"), list):
            raise self._not_a_gateway("its answer is no count")
        return body

    def sources(self) -> list[Json]:
        body = self._get("/sources", ())
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise self._not_a_gateway("its answer is no list of sources")
        return list(body["data"])

    def close(self) -> None:
        self._http.close()

    def _get(self, path: str, pairs: Pairs, *, has_id: bool = False) -> Any:
        try:
            answer = self._http.get(path, params=list(pairs))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise Problem("unreachable", f"GATEWAY_URL: {self._unreachable(error)}.") from None
        except httpx.TimeoutException:
            raise Problem("no_answer", f"The gateway at {self._shown} does not answer; try again.") from None
        except httpx.HTTPError as error:
            raise Problem(
                "no_answer", f"The gateway at {self._shown} broke off ({type(error).__name__}); try again."
            ) from None
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.status_code != 200:
            raise self._problem(answer, body, has_id)
        return body

    def _unreachable(self, error: BaseException) -> str:
        if isinstance(error, httpx.ConnectTimeout):
            return f"no connection to {self._shown} came about within {_CONNECT:g} s; give the gateway's address"
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, socket.gaierror):
            return f"the host's name in {self._shown} is not known ({cause.strerror}); give the gateway's address"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {self._shown} is not accepted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return f"what listens at {self._shown} does not speak TLS ({cause.reason}); try http://"
        if isinstance(cause, ConnectionRefusedError):
            return (
                f"nothing listens at {self._shown}; start it with audit-gateway serve, or unset GATEWAY_URL to read the"
                " configured sources from here"
            )
        return f"{self._shown} cannot be reached ({cause or error})"

    def _problem(self, answer: httpx.Response, body: Any, has_id: bool) -> Problem:
        status = answer.status_code
        if status == 401:
            why = (
                "does not accept the key in GATEWAY_KEY" if self._has_key else "wants a key, and GATEWAY_KEY is not set"
            )
            return Problem("unauthenticated", f"The gateway at {self._shown} {why}")
        if not isinstance(body, dict) or not isinstance(body.get("code"), str):
            if status >= 500 or status == 429:
                return Problem("no_answer", f"The gateway at {self._shown} answered {status}; try again.")
            return self._not_a_gateway(f"it answered {status}")
        if body["code"] == "not_found" and has_id:
            return Problem("not_found", str(body.get("detail")))
        if body["code"] == "not_found":
            return self._not_a_gateway("it has no such path")
        errors = [error for error in _list(body.get("errors")) if isinstance(error, dict)]
        return Problem(
            body["code"],
            str(body.get("detail") or body.get("title") or body["code"]),
            errors=[(str(error.get("parameter")), str(error.get("message"))) for error in errors],
            sources=[source for source in _list(body.get("sources")) if isinstance(source, dict)],
            retry_after=_seconds(answer.headers.get("retry-after", "")),
        )

    def _not_a_gateway(self, why: str) -> Problem:
        return Problem("not_a_gateway", f"GATEWAY_URL: {self._shown} is no audit gateway ({why}); give its address.")


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port, httpx.URL(url)  # each raises for what it cannot read
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts
    except (ValueError, httpx.InvalidURL):
        pass
    raise ConfigurationError("GATEWAY_URL is no address of a gateway; it looks like http://127.0.0.1:8000")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
