"""Pagination and retries of the terminal client, and its messages about failed calls."""

from collections.abc import Iterator, Sequence

import httpx
import pytest

from app.cli import client as walking
from app.cli.client import POLL, Client, walk
from app.cli.failures import Problem, sentence
from app.forward import Page, Pairs


def page(numbers: Sequence[int], cursor: str | None, *, more: bool = True) -> Page:
    return Page([{"id": number} for number in numbers], more, cursor, {}, [])


SLEPT: list[float] = []
NOTICES: list[str] = []


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "sleep", SLEPT.append)
    monkeypatch.setattr(walking, "print_error", NOTICES.append)


class Scripted:
    """A client that returns the given pages, raises the given problems, and records the queries."""

    def __init__(self, *results: Page | Problem) -> None:
        SLEPT.clear()
        NOTICES.clear()
        self.results = list(results)
        self.queries: list[Pairs] = []

    def page(self, pairs: Pairs) -> Page:
        self.queries.append(list(pairs))
        response = self.results.pop(0)
        if isinstance(response, Problem):
            raise response
        return response


def ids(pages: Iterator[Page]) -> list[int]:
    return [event["id"] for one in pages for event in one.events]


def test_a_walk_continues_by_cursor_through_empty_pages() -> None:
    client = Scripted(page([1, 2], "a"), page([], "b"), page([3], None, more=False))
    assert ids(walk(client, [("type", "x"), ("partial", "true")])) == [1, 2, 3]
    assert client.queries == [
        [("type", "x"), ("partial", "true"), ("limit", "1000")],
        [("cursor", "a"), ("partial", "true"), ("limit", "1000")],
        [("cursor", "b"), ("partial", "true"), ("limit", "1000")],
    ]
    assert SLEPT == []


def test_a_walk_requests_no_more_events_than_needed() -> None:
    client = Scripted(page(range(1000), "a"), page(range(1000, 1200), "b"), page([0] * 3, "c"))
    assert len(ids(walk(client, [], most=1203))) == 1203
    assert [dict(pairs)["limit"] for pairs in client.queries] == ["1000", "203", "3"]


def test_temporary_problems_are_retried_after_the_first_page() -> None:
    busy = Problem("rate_limited", "too many", retry_after=7.0)
    client = Scripted(busy)
    with pytest.raises(Problem):
        ids(walk(client, []))
    client = Scripted(page([1], "a"), busy, Problem("unreachable", "gone"), page([2], None, more=False))
    assert ids(walk(client, [])) == [1, 2]
    assert SLEPT == [7.0, 2.0]
    assert len(NOTICES) == 2
    client = Scripted(page([1], "a"), *[busy] * 6)
    with pytest.raises(Problem):
        ids(walk(client, []))
    client = Scripted(page([1], "a"), Problem("invalid_cursor", "no"))
    with pytest.raises(Problem, match="no"):
        ids(walk(client, []))


def test_a_failed_source_is_not_retried_after_the_others_end() -> None:
    def with_failed(*names: str) -> Page:
        return Page([{"id": 1}], True, "a", {}, [{"name": name, "status": "failed"} for name in names])

    down = Problem("source_unavailable", "down", sources=[{"name": "a"}], retry_after=30.0)
    client = Scripted(with_failed("a"), down)
    with pytest.raises(Problem, match="down"):
        ids(walk(client, [("partial", "true")]))
    assert (SLEPT, NOTICES) == ([], [])
    # A source that has just failed may recover.
    for before in ([], ["b"]):
        client = Scripted(with_failed(*before), down, page([2], None, more=False))
        assert ids(walk(client, [("partial", "true")])) == [1, 2]
        assert SLEPT == [30.0]


def test_a_follower_polls_at_the_end_and_retries_forever() -> None:
    down = Problem("source_unavailable", "down")
    client = Scripted(
        page([1], "a"), page([2], "b", more=False), page([], "c", more=False), *[down] * 20, page([3], "d", more=False)
    )
    assert ids(walk(client, [("follow", "true")], most=3, follow=True)) == [1, 2, 3]
    assert SLEPT[:2] == [POLL, POLL]
    assert max(SLEPT) <= 60
    assert len(SLEPT) == 22
    assert len(NOTICES) == 1, "the same notice is printed once"
    assert [dict(pairs).get("cursor") for pairs in client.queries[:4]] == [None, "a", "b", "c"]


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (200, "<html>", "not_a_gateway", "is no audit gateway"),
        (200, "[]", "not_a_gateway", "is no audit gateway"),
        (200, '{"data":1,"page":{}}', "not_a_gateway", "is no audit gateway"),
        (302, "", "not_a_gateway", "302"),
        (502, "<html>", "no_answer", "try again"),
        (422, '{"code":"invalid_parameter","errors":[{"parameter":"flow_id","message":"is odd"}]}',
         "invalid_parameter", "--flow-id is odd"),
        (429, '{"code":"rate_limited","detail":"Too many."}', "rate_limited", "Too many; try again in 9 s"),
        (503, '{"code":"source_unavailable","sources":[{"name":"a","detail":"is down."}]}',
         "source_unavailable", "source a: is down; try again in 9 s, or read the other sources with --part"),
        (502, '{"code":"source_failed","sources":[{"name":"a","code":"source_failed","provider_request_id":"r1"}]}',
         "source_failed", "source a: source_failed (provider's request id r1); try again"),
        (500, '{"code":"a_new_code","detail":"Odd.","errors":null,"sources":null}', "a_new_code", "Odd."),
    ],
)  # fmt: skip
def test_responses_that_are_no_page_are_explained(status: int, body: str, code: str, message: str) -> None:
    response = httpx.Response(status, text=body, headers={"Retry-After": "9", "Location": "http://elsewhere"})
    client = Client("http://gateway/under", "key", httpx.MockTransport(lambda request: response))
    with pytest.raises(Problem) as caught:
        client.page([])
    assert caught.value.code == code
    assert message in sentence(caught.value, partial_helps=True)
    client.close()


def test_a_gateway_under_a_path() -> None:
    requests: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"data": []})

    client = Client("http://gateway/under/", "key", httpx.MockTransport(respond))
    assert client.get("/sources") == {"data": []}
    assert str(requests[0].url) == "http://gateway/under/sources"
    assert requests[0].headers["authorization"] == "Bearer key"
    client.close()


@pytest.mark.parametrize(
    ("url", "message"), [("https://127.0.0.1:9", "Connection refused"), ("http://no.such.host.invalid", "not known")]
)
def test_an_unreachable_gateway_is_explained(url: str, message: str) -> None:
    client = Client(url, None)
    with pytest.raises(Problem) as caught:
        client.page([])
    client.close()
    assert caught.value.code == "unreachable"
    found = sentence(caught.value)
    assert found.startswith(f"GATEWAY_URL: {url} cannot be reached (")
    assert message in found
    assert "audit-gateway serve" in found
