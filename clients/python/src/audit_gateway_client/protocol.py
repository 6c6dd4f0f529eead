"""Filters, retries and errors, without I/O: shared by the synchronous and the asynchronous client."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypedDict, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from audit_gateway_client.models import Problem

Model = TypeVar("Model", bound=BaseModel)
Query = list[tuple[str, str | int | float | bool | None]]

OneOrMore = str | Sequence[str]
Time = (
    str | date
)  #: RFC 3339 with an offset, a date, a duration back from now (`P7D`, `12h`); a datetime needs a tzinfo


class Filters(TypedDict, total=False):
    """Parameters of `GET /events`. All combine with AND; several values of one are OR."""

    since: Time
    until: Time
    source: OneOrMore
    provider: OneOrMore
    category: OneOrMore
    type: OneOrMore
    provider_type: OneOrMore
    envelope_id: OneOrMore
    workspace_id: str
    flow_id: str
    flow_type: str
    envelope_status: str
    owner: str
    actor: str
    recipient: str
    person: str
    q: str
    type_not: OneOrMore
    provider_type_not: OneOrMore
    category_not: OneOrMore
    source_not: OneOrMore
    actor_not: OneOrMore
    order: str
    limit: int
    include: OneOrMore
    partial: bool


def query_of(filters: Mapping[str, Any]) -> Query:
    """Return the query parameters: `type_not` becomes `type.not`, a sequence becomes a repeated parameter."""
    query: Query = []
    for name, value in filters.items():
        values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
        name = f"{name.removesuffix('_not')}.not" if name.endswith("_not") else name
        query += [(name, _text(one)) for one in values if one is not None]
    return query


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def first_query(filters: Mapping[str, Any], cursor: str | None, follow: bool) -> Query:
    """Return the parameters of a walk's first page. A cursor already contains `order` and `follow`."""
    if cursor is not None:
        return [("cursor", cursor), *query_of(filters)]
    return query_of({"order": "asc", "follow": True, **filters} if follow else filters)


class GatewayError(Exception):
    """A call failed for good: `422 invalid_parameter: since: …`.

    `status` and `code` are None if no problem of the gateway was received; `problem` is its body.
    """

    def __init__(self, message: str, status: int | None = None, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem
        self.code = problem.code if problem else None


@dataclass(frozen=True)
class RetryPolicy:
    """Calls are idempotent and a cursor stays valid when its call fails, so each failed call is simply repeated.

    `attempts`: calls in all. `longest`: the most seconds between two of them. A `Retry-After` longer than that ends
    the retries.
    """

    attempts: int = 6
    longest: float = 60.0

    def wait(self, attempt: int, outcome: httpx.Response | httpx.TransportError) -> float | None:
        """Return the seconds until the next attempt; None for a success. Raises GatewayError for a final failure."""
        backoff: float = min(0.25 * 2.0**attempt, self.longest) * random.uniform(0.5, 1)
        if isinstance(outcome, httpx.TransportError):
            if attempt >= self.attempts:
                raise GatewayError(f"no response from the gateway: {outcome!r}") from outcome
            return backoff
        if outcome.is_success:
            return None
        asked = outcome.headers.get("Retry-After", "")
        seconds = float(asked) if asked.isdecimal() else backoff
        if outcome.status_code not in (429, 502, 503, 504) or attempt >= self.attempts or seconds > self.longest:
            raise _error_of(outcome)
        return seconds


def _error_of(response: httpx.Response) -> GatewayError:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return GatewayError(f"{response.status_code} from {response.url.host}", response.status_code)
    return GatewayError(f"{response.status_code} {problem.code}: {problem.detail}", response.status_code, problem)


def parse(model: type[Model], response: httpx.Response) -> Model:
    """Return the body as a model. Raises GatewayError if it has another shape, such as a proxy's page."""
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise GatewayError(f"{response.url.host} did not send a {model.__name__}: {error}") from None


def connection(url: str | None, key: str | None, timeout: float) -> dict[str, Any]:
    """Return the arguments of the HTTP client. Raises ValueError if the gateway's address is unknown."""
    url = url or os.environ.get("GATEWAY_URL", "")
    key = key or os.environ.get("GATEWAY_KEY")
    if not url.startswith(("http://", "https://")):
        raise ValueError("pass the gateway's http(s) address as url, or set GATEWAY_URL")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": url, "headers": headers, "timeout": timeout}
