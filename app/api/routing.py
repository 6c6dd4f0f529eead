"""Routes of the application: FastAPI's, with parameters and queries parsed here.

FastAPI reads the signatures for the OpenAPI document. At a request, its dependency resolution would be slower, drop
repeated parameters and return other errors; `read_query` parses the same models strictly.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any, TypeAlias, get_args
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends, Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.domain.errors import ParameterError
from app.domain.parameters import read_query
from app.domain.query import NoParameters

#: Methods of finite resources. HEAD on a stream would never end.
READ = ["GET", "HEAD"]

MAX_PAIRS = 1000

#: Characters of a query or cursor in a header, because proxies and clients refuse headers of 8 kB.
LONGEST_HEADER = 4096

_SHORT = 2048  #: bytes of a cached query

#: Of a call without query parameters.
NoQuery: TypeAlias = Annotated[NoParameters, Query()]

_Resolve = Callable[[Request], Awaitable[Any]]


def new_router(**settings: Any) -> APIRouter:
    """Return a router whose routes can be added to an application unchanged."""
    return APIRouter(route_class=_Route, generate_unique_id_function=lambda route: route.name, **settings)


def add_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Add routes directly. `app.include_router` would create every route twice, and find a request's route in two
    steps."""
    for router in routers:
        app.router.routes.extend(router.routes)


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        parameters = inspect.signature(endpoint, eval_str=True).parameters
        resolvers = {name: _resolver(name, parameter.annotation) for name, parameter in parameters.items()}

        async def handle(request: Request) -> Response:
            # In the order of the signature: authentication before the query.
            response: Response = await endpoint(**{name: await find(request) for name, find in resolvers.items()})
            return response

        return handle


def _resolver(name: str, annotation: Any) -> _Resolve:
    """Return the function that reads one argument of an endpoint from a request."""
    kind, *metadata = get_args(annotation) or (annotation,)
    for one in metadata:
        if isinstance(one, Depends) and one.dependency is not None:
            return one.dependency
    is_query = any(isinstance(one, Query) for one in metadata)

    async def resolve(request: Request) -> Any:
        if is_query:
            read = _query_again if len(request.scope["query_string"]) <= _SHORT else read_query
            return read(kind, tuple(pairs_of(request)))
        return request if kind is Request else request.path_params[name]

    return resolve


# ---- queries, parsed strictly, because a silently dropped parameter would widen the response ----


def pairs_of(request: Request) -> list[tuple[str, str]]:
    """Return the query's unchanged (name, value) pairs, blank values included. Raises ParameterError."""
    try:
        return parse_query(request.scope)
    except UnicodeError:
        message = "must be percent-encoded UTF-8"
    except ValueError:
        message = f"must have at most {MAX_PAIRS} parameters"
    raise ParameterError("invalid_parameter", [("query", message)])


def wants_no_cache(request: Request) -> bool:
    """Whether the request has `Cache-Control: no-cache`."""
    directives = request.headers.get("cache-control", "").lower().split(",")
    return any(directive.strip() in ("no-cache", "no-store", "max-age=0") for directive in directives)


def parse_query(scope: Scope) -> list[tuple[str, str]]:
    """Return the pairs of a request's scope. Raises UnicodeError for invalid percent-encoded UTF-8, ValueError for too
    many pairs."""
    query: bytes = scope["query_string"]
    return list(_read_again(query) if len(query) <= _SHORT else _read(query))


def _read(query: bytes) -> Sequence[tuple[str, str]]:
    return tuple(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PAIRS))


# The handler and the audit trail parse the same query, and callers repeat queries. Parsed queries do not change.
_read_again, _query_again = lru_cache(maxsize=256)(_read), lru_cache(maxsize=256)(read_query)
