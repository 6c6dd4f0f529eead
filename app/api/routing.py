"""Routes of the application: FastAPI's, with parameters and queries parsed here.

FastAPI reads the signatures for the OpenAPI document. At a request, its dependency resolution would be slower, drop
repeated parameters and return other errors; `read_query` parses the same models strictly.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, get_args
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.params import Depends, Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.domain.caller import Caller
from app.domain.errors import ParameterError
from app.domain.parameters import Parameters, read_query
from app.domain.query import NoParameters

#: Methods of finite resources. HEAD on a stream would never end.
READ = ["GET", "HEAD"]

MAX_PAIRS = 1000

#: Characters of a query or cursor in a header, because proxies and clients refuse headers of 8 kB.
LONGEST_HEADER = 4096

_SHORT = 2048  #: bytes of a cached query

#: Of a call without query parameters.
NoQuery: TypeAlias = Annotated[NoParameters, Query()]


def new_router(**settings: Any) -> APIRouter:
    """Return a router whose routes can be added to an application unchanged."""
    return APIRouter(route_class=_Route, generate_unique_id_function=lambda route: route.name, **settings)


class _Route(APIRoute):
    """Endpoints take `request` and the parameters of their path, and may take `caller` (a dependency) and one query
    model."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        parameters = inspect.signature(endpoint, eval_str=True).parameters
        self._authorize: Callable[[Request], Awaitable[Caller]] | None = None
        self._query: tuple[str, type[Parameters]] | None = None
        for name, parameter in parameters.items():
            kind, *metadata = get_args(parameter.annotation) or (parameter.annotation,)
            for one in metadata:
                if isinstance(one, Depends):
                    self._authorize = one.dependency
                elif isinstance(one, Query):
                    self._query = name, kind
        # Instead of FastAPI's, which opens two exit stacks for dependencies that we do not have.
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        arguments: dict[str, Any] = {"request": request, **request.path_params}
        if self._authorize is not None:  # before the query is read
            arguments["caller"] = await self._authorize(request)
        if self._query is not None:
            name, model = self._query
            read = _query_cached if len(scope["query_string"]) <= _SHORT else read_query
            arguments[name] = read(model, pairs_of(scope))
        response: Response = await self.endpoint(**arguments)
        await response(scope, receive, send)


# ---- queries, parsed strictly, because a silently dropped parameter would widen the response ----


def pairs_of(scope: Scope) -> Sequence[tuple[str, str]]:
    """Return the query's unchanged (name, value) pairs, blank values included. Raises ParameterError."""
    query: bytes = scope["query_string"]
    try:
        return _read_cached(query) if len(query) <= _SHORT else _read(query)
    except UnicodeError:
        message = "must be percent-encoded UTF-8"
    except ValueError:
        message = f"must have at most {MAX_PAIRS} parameters"
    raise ParameterError("invalid_parameter", [("query", message)])


def wants_no_cache(request: Request) -> bool:
    """Whether the request has `Cache-Control: no-cache`."""
    directives = request.headers.get("cache-control", "").lower().split(",")
    return any(directive.strip() in ("no-cache", "no-store", "max-age=0") for directive in directives)


def _read(query: bytes) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PAIRS))


# The handler and the audit trail parse the same query, and callers repeat queries. Parsed queries do not change.
_read_cached, _query_cached = lru_cache(maxsize=256)(_read), lru_cache(maxsize=256)(read_query)
