"""How calls are added to the application: FastAPI's routes, whose parameters are resolved here.

FastAPI reads the signatures for the OpenAPI document. At a request, its solving of dependencies would take longer than
all of this, drop a repeated parameter, and answer in another form: `read_query` reads the same models strictly.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, get_args

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends, Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.api.queries import pairs_of
from app.domain.parameters import read_query

#: The methods of what may be asked for its headers alone. Elsewhere HEAD would wait for the end of what has none.
READ = ["GET", "HEAD"]

_Resolve = Callable[[Request], Awaitable[Any]]


def new_router(**settings: Any) -> APIRouter:
    """A router whose routes can be added to an application as they are."""
    return APIRouter(route_class=_Route, generate_unique_id_function=lambda route: route.name, **settings)


def add_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """`app.include_router` would make every route a second time, at the first request, and look for a request's route
    in two steps."""
    for router in routers:
        app.router.routes.extend(router.routes)


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint, resolvers = self.endpoint, _resolvers(self.endpoint)

        async def handle(request: Request) -> Response:
            # In the order of the signature: who is calling comes before what they ask.
            response: Response = await endpoint(**{name: await find(request) for name, find in resolvers.items()})
            return response

        return handle


def _resolvers(endpoint: Callable[..., Any]) -> dict[str, _Resolve]:
    parameters = inspect.signature(endpoint, eval_str=True).parameters.values()
    return {parameter.name: _resolver(parameter.name, parameter.annotation) for parameter in parameters}


def _resolver(name: str, annotation: Any) -> _Resolve:
    kind, *metadata = get_args(annotation) or (annotation,)
    for one in metadata:
        if isinstance(one, Depends) and one.dependency is not None:
            return one.dependency
        if isinstance(one, Query):
            return lambda request: _query(kind, request)
    return _request if kind is Request else _named(name)


async def _query(model: Any, request: Request) -> Any:
    return read_query(model, pairs_of(request))


def _named(name: str) -> _Resolve:
    async def find(request: Request) -> Any:
        return request.path_params[name]

    return find


async def _request(request: Request) -> Request:
    return request
