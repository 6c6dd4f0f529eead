"""How calls are added to the application: routers as FastAPI has them, but for what it does at each request."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

#: The methods of what has a cheap answer: pages, files, documents, health. Elsewhere HEAD would cost calls to
#: providers, or wait for the end of what has none.
READ = ["GET", "HEAD"]


def new_router(**settings: Any) -> APIRouter:
    """A router whose routes can be added to an application as they are."""
    return APIRouter(route_class=_Route, generate_unique_id_function=lambda route: route.name, **settings)


def add_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """`app.include_router` would make every route a second time, at the first request, and look for a request's route
    in two steps."""
    for router in routers:
        app.router.routes.extend(router.routes)


class _Request(Request):
    """A request whose query is left to `app.api.queries`. FastAPI reads it for every call, though none has parameters
    of FastAPI's."""

    @property
    def query_params(self) -> QueryParams:
        return _NO_PARAMETERS


_NO_PARAMETERS = QueryParams()


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_unread(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handle_unread
