"""Every error there is has one shape: RFC 9457's, with the gateway's own members beside it."""

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


#: What raises each code. A code without a row here fails `test_every_code_is_tried`.
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
#: Answered by a route or, later, a limit: made directly.
MADE = {"request_timeout", "uri_too_long", "headers_too_large", "overloaded", "not_ready"}


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


def assert_shape(answer: httpx.Response, code: str) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    body: dict[str, Any] = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert list(body) == [
        "type", "title", "status", "detail", "instance", "code", "request_id", "errors", "sources"
    ]  # fmt: skip
    assert body["type"] == f"/problems/{code}"
    assert (body["title"], body["status"], body["code"]) == (title, status, code)
    assert body["detail"]
    assert body["instance"] == answer.request.url.path
    assert body["request_id"] == answer.headers["x-request-id"]
    assert all(set(error) == {"parameter", "message"} for error in body["errors"])
    members = {"name", "code", "detail", "provider_request_id", "retry_after"}
    assert all(set(source) == members for source in body["sources"])
    assert SECRET not in answer.text
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    return body


def test_every_code_is_tried() -> None:
    assert set(RAISED) | MADE == set(PROBLEMS)


def test_every_error_of_the_domain_has_a_row() -> None:
    """But the two that never reach a caller: one stops the start, one becomes a source's status."""

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


@pytest.mark.parametrize("code", sorted(MADE))
async def test_the_shape_of_what_is_made_directly(code: str) -> None:
    app = FastAPI()
    app.add_route("/events", lambda request: problem_response(request, code, "Later."))
    app.add_middleware(RequestMiddleware)
    assert_shape(await get(app), code)


async def test_no_such_path_and_no_such_method() -> None:
    app = application(RAISED["internal_error"])
    assert_shape(await get(app, "/nowhere"), "not_found")
    refused = await get(app, method="DELETE")
    assert_shape(refused, "method_not_allowed")
    assert refused.headers["allow"] == "GET"


async def test_the_longest_wait_of_several_sources_counts() -> None:
    def raised() -> Exception:
        every = [errors.SourceUnavailable("x", retry_after=wait) for wait in (3, 40.1, None)]
        for number, error in enumerate(every):
            error.source = f"s{number}"
        return errors.SourcesFailed(every)

    answer = await get(application(raised))
    assert answer.headers["retry-after"] == "41"
    assert [source["retry_after"] for source in answer.json()["sources"]] == [3, 40.1, None]


async def test_a_source_without_a_wait_still_suggests_one() -> None:
    answer = await get(application(lambda: failed(errors.SourceUnavailable)))
    assert int(answer.headers["retry-after"]) >= 1


async def test_an_unexpected_error_is_logged_by_place_and_type_only(log: io.StringIO) -> None:
    answer = await get(application(RAISED["internal_error"]))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    error = next(line for line in lines if line["event"] == "unexpected_error")
    assert error["exception"] == "ValueError"
    assert error["request_id"] == answer.json()["request_id"]
    assert any("test_problems.py" in frame for frame in error["frames"])
    assert SECRET not in json.dumps(lines)


@pytest.mark.parametrize("sane", ["a", "A-b_c.9", "x" * 64])
async def test_a_sane_request_id_is_kept(sane: str) -> None:
    answer = await get(application(RAISED["not_found"]), headers={"X-Request-ID": sane})
    assert answer.headers["x-request-id"] == sane
    assert answer.json()["request_id"] == sane


@pytest.mark.parametrize("insane", ["", "x" * 65, "a b", "a\tb", "ü", "<script>", '"', "a,b"])
async def test_any_other_request_id_is_replaced(insane: str) -> None:
    answer = await get(application(RAISED["not_found"]), headers={"X-Request-ID": insane.encode()})
    assert answer.headers.get_list("x-request-id") == [answer.json()["request_id"]]
    assert answer.json()["request_id"] != insane
    assert len(answer.json()["request_id"]) == 32
