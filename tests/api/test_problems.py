"""Every error has the shape of RFC 9457 with the gateway's additional members."""

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from app.api.middleware import RequestMiddleware
from app.api.problems import PROBLEMS, install_problems, problem_response
from app.domain import errors
from app.domain.errors import GatewayError

SECRET = "hunter2"


def failed(kind: type[errors.SourceError], **about: Any) -> errors.SourcesFailed:
    error = kind("the provider answered 500", **about)
    error.source = "north"
    return errors.SourcesFailed([error])


def parameter(code: str) -> Callable[[], Exception]:
    return lambda: errors.ParameterError(code, [("since", "must be earlier than until")])


#: What raises each code. A code without a row here fails `test_every_problem_code_has_a_test`.
RAISED: dict[str, Callable[[], Exception]] = {
    "invalid_cursor": lambda: errors.InvalidCursor("The cursor was changed."),
    "cursor_mismatch": lambda: errors.CursorMismatch([("type", "differs")]),
    "bad_request": lambda: HTTPException(400, SECRET),
    "unauthenticated": lambda: errors.Unauthenticated("An API key is needed."),
    "forbidden": lambda: errors.Forbidden("This call needs the scope events:read."),
    "not_found": lambda: errors.NotFound("There is no event with this id."),
    "method_not_allowed": lambda: HTTPException(405, SECRET, {"Allow": "GET"}),
    "invalid_parameter": parameter("invalid_parameter"),
    "unknown_parameter": parameter("unknown_parameter"),
    "filter_not_applicable": parameter("filter_not_applicable"),
    "invalid_window": parameter("invalid_window"),
    "rate_limited": lambda: errors.RateLimited("Try again in 7 s.", retry_after=6.2),
    "internal_error": lambda: ValueError(SECRET),
    "issuer_unavailable": lambda: errors.IssuerUnavailable("The issuer's keys cannot be had."),
    "source_failed": lambda: failed(errors.SourceFailed, provider_request_id="req-1"),
    "source_unauthorized": lambda: failed(errors.SourceUnauthorized),
    "source_unavailable": lambda: failed(errors.SourceUnavailable, retry_after=12.2),
    "source_timeout": lambda: failed(errors.SourceTimeout),
}
#: Codes of problems that routes and middleware return without an exception.
RETURNED = {"request_timeout", "uri_too_long", "headers_too_large", "overloaded", "not_ready"}


def application(raised: Callable[[], Exception]) -> FastAPI:
    app = FastAPI()

    @app.get("/events")
    async def events() -> None:
        raise raised()

    install_problems(app)
    app.add_middleware(RequestMiddleware)
    return app


async def get(app: FastAPI, url: str = "/events", method: str = "GET", **kwargs: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        return await client.request(method, url, **kwargs)


def assert_shape(response: httpx.Response, code: str) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    body: dict[str, Any] = response.json()
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert list(body) == [
        "type", "title", "status", "detail", "instance", "code", "request_id", "errors", "sources"
    ]  # fmt: skip
    assert body["type"] == f"/problems/{code}"
    assert (body["title"], body["status"], body["code"]) == (title, status, code)
    assert body["detail"]
    assert body["instance"] == response.request.url.path
    assert body["request_id"] == response.headers["x-request-id"]
    assert all(set(error) == {"parameter", "message"} for error in body["errors"])
    members = {"name", "code", "detail", "provider_request_id", "retry_after"}
    assert all(set(source) == members for source in body["sources"])
    assert SECRET not in response.text
    assert ("www-authenticate" in response.headers) == (status == 401)
    assert ("retry-after" in response.headers) == (status in (429, 503))
    return body


def test_every_problem_code_has_a_test() -> None:
    assert set(RAISED) | RETURNED == set(PROBLEMS)


def test_every_domain_error_has_a_problem() -> None:
    """Except for two that no caller gets: one fails the start, one becomes the status of a source."""

    def codes(kind: type[GatewayError]) -> set[str]:
        return {kind.code}.union(*(codes(below) for below in kind.__subclasses__()))

    assert codes(GatewayError) - set(PROBLEMS) == {"configuration", "source_forbidden"}


@pytest.mark.parametrize("code", RAISED)
async def test_the_shape_of_every_error(code: str) -> None:
    body = assert_shape(await get(application(RAISED[code])), code)
    if code.startswith("source_"):
        assert body["sources"][0]["name"] == "north"
        assert body["sources"][0]["code"] == code
    if code in ("invalid_parameter", "unknown_parameter", "filter_not_applicable", "invalid_window"):
        assert body["errors"] == [{"parameter": "since", "message": "must be earlier than until"}]


@pytest.mark.parametrize("code", sorted(RETURNED))
async def test_the_shape_of_problems_that_routes_return(code: str) -> None:
    app = FastAPI()
    app.add_route("/events", lambda request: problem_response(request, code, "Later."))
    app.add_middleware(RequestMiddleware)
    assert_shape(await get(app), code)


async def test_unknown_paths_and_methods_are_problems() -> None:
    app = application(RAISED["internal_error"])
    assert_shape(await get(app, "/nowhere"), "not_found")
    refused = await get(app, method="DELETE")
    assert_shape(refused, "method_not_allowed")
    assert refused.headers["allow"] == "GET"


async def test_retry_after_is_the_longest_of_all_sources() -> None:
    def raised() -> Exception:
        failures = [errors.SourceUnavailable("x", retry_after=wait) for wait in (3, 40.1, None)]
        for number, error in enumerate(failures):
            error.source = f"s{number}"
        return errors.SourcesFailed(failures)

    response = await get(application(raised))
    assert response.headers["retry-after"] == "41"
    assert [source["retry_after"] for source in response.json()["sources"]] == [3, 40.1, None]


async def test_retry_after_has_a_default() -> None:
    response = await get(application(lambda: failed(errors.SourceUnavailable)))
    assert int(response.headers["retry-after"]) >= 1


async def test_an_unexpected_error_is_logged_without_its_text(log: io.StringIO) -> None:
    response = await get(application(RAISED["internal_error"]))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    error = next(line for line in lines if line["event"] == "unexpected_error")
    assert error["exception"] == "ValueError"
    assert error["request_id"] == response.json()["request_id"]
    assert any("test_problems.py" in frame for frame in error["frames"])
    assert SECRET not in json.dumps(lines)


@pytest.mark.parametrize("request_id", ["a", "A-b_c.9", "x" * 64])
async def test_a_valid_request_id_is_used(request_id: str) -> None:
    response = await get(application(RAISED["not_found"]), headers={"X-Request-ID": request_id})
    assert response.headers["x-request-id"] == request_id
    assert response.json()["request_id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a b", "a\tb", "ü", "<script>", '"', "a,b"])
async def test_an_invalid_request_id_is_replaced(request_id: str) -> None:
    response = await get(application(RAISED["not_found"]), headers={"X-Request-ID": request_id.encode()})
    assert response.headers.get_list("x-request-id") == [response.json()["request_id"]]
    assert response.json()["request_id"] != request_id
    assert len(response.json()["request_id"]) == 32
