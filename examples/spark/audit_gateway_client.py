"""The gateway's pages, with the standard library alone: what is tried again, and what is told how."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

ATTEMPTS = 6
LONGEST_WAIT = 60.0  #: seconds between two attempts, whatever the gateway asks for
TIMEOUT = 90.0  #: seconds; more than the gateway's own deadline, so that it can tell what is wrong
RETRIED = (429, 502, 503, 504)


class Secret:
    """A text that shows itself to nobody who prints it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"


class GatewayError(RuntimeError):
    """The gateway's problem, by its code: `source_unavailable (503): …`."""


class GatewayClient:
    """One gateway. Has no connections of its own: it is pickled and sent to the tasks."""

    def __init__(self, url: str, key: Secret) -> None:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("url must be the gateway's http(s) address")
        self._url = url.rstrip("/")
        self._key = key

    def page(self, parameters: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """One page of `GET /events`. A cursor stays good when its call fails, so the call is simply repeated.

        Raises GatewayError when the gateway refuses, or has failed for the sixth time."""
        address = f"{self._url}/events?{urllib.parse.urlencode(parameters)}"
        headers = {"Authorization": f"Bearer {self._key.reveal()}", "Accept": "application/json"}
        for attempt in range(ATTEMPTS):
            request = urllib.request.Request(address, headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                    page: dict[str, Any] = json.load(answer)
                    return page
            except urllib.error.HTTPError as error:
                told, wait = _told(error), _wait(error, attempt)
                if error.code not in RETRIED or attempt == ATTEMPTS - 1:
                    raise GatewayError(told) from None
            except (OSError, ValueError) as error:
                wait = _backoff(attempt)
                if attempt == ATTEMPTS - 1:
                    raise GatewayError(f"the gateway cannot be reached ({type(error).__name__})") from None
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def _told(error: urllib.error.HTTPError) -> str:
    try:
        problem = json.load(error)
        return f"{problem['code']} ({error.code}): {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {error.code}"


def _wait(error: urllib.error.HTTPError, attempt: int) -> float:
    asked = error.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT) if asked.isdigit() else _backoff(attempt)


def _backoff(attempt: int) -> float:
    return min(0.5 * 2.0**attempt, LONGEST_WAIT)
