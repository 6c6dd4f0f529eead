"""The terminal client's parts that need no gateway."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from app.cli import walk as walking
from app.cli.client import Client, Problem
from app.cli.export import Checkpoint, ResumableFile
from app.cli.failures import Failure, Notices, sentence
from app.cli.flags import FILTERS, to_rfc3339
from app.cli.output import format_of, json_line
from app.cli.queries import EventTable, cells_of
from app.cli.walk import POLL, walk
from app.domain.errors import ConfigurationError
from app.domain.parameters import parameter_names
from app.domain.query import EventQuery
from app.domain.times import parse_rfc3339
from app.forward.target import Page, Pairs


def test_the_flags_are_the_apis_filters() -> None:
    others = {"order", "limit", "cursor", "include", "partial", "follow"}
    assert set(FILTERS.values()) == set(parameter_names(EventQuery)) - others


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "csv"), ("a.CSV", "csv"), ("a.ndjson", "ndjson"), ("a.jsonl", "ndjson"), ("a", "ndjson"),
     ("a.ocsf", "ocsf"), ("a.ecs.ndjson", "ecs"), ("a.cloudevents.jsonl", "cloudevents"), ("2026.csv.ndjson", "ndjson"),
     ("a.xlsx", None), ("a.json", None), ("a.csv.gz", None)],
)  # fmt: skip
def test_a_suffix_decides_the_format(name: str, form: str | None) -> None:
    if form is not None:
        assert format_of(Path(name)) == form
        return
    with pytest.raises(Failure, match="add --format, or use one of"):
        format_of(Path(name))


def test_unreadable_records_and_values_without_match_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    notices = Notices()
    assert notices.end() == 0
    warning = {"parameter": "type.not", "message": "x is not a known type"}
    unread = "records that cannot be read are left out"
    for reason in (f"2 {unread}", f"log: 1 page is short; 1000 {unread}", "log: 1 page is short", None):
        source = {"name": "a", "status": "ok", "reason": reason}
        notices.page(Page([], True, "c", {}, [source], [warning]))
    assert notices.end() == 3
    assert capsys.readouterr().err.splitlines() == [
        "audit-gateway: --type.not x is not a known type.",
        "audit-gateway: source a: log: 1 page is short.",
        "audit-gateway: source a: 1,002 records that cannot be read are left out; the gateway's log has more.",
    ]
    notices.page(Page([], True, "c", {}, [{"name": "b", "status": "failed", "reason": "down"}]))
    assert notices.end() == 1


NOW = parse_rfc3339("2026-03-01T12:30:45.250000Z")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("7d", "2026-02-22T12:30:45.250000Z"),
        ("2h", "2026-03-01T10:30:45.250000Z"),
        ("30m", "2026-03-01T12:00:45.250000Z"),
        ("45s", "2026-03-01T12:30:00.250000Z"),
        ("2w", "2026-02-15T12:30:45.250000Z"),
        ("P7D", "2026-02-22T12:30:45.250000Z"),
        ("PT12H", "2026-03-01T00:30:45.250000Z"),
        ("now", "2026-03-01T12:30:45.250000Z"),
        ("today", "2026-03-01"),
        ("Yesterday", "2026-02-28"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00+01:00", "2026-01-31T10:00:00+01:00"),
    ],
)
def test_what_is_sent(text: str, sent: str) -> None:
    assert to_rfc3339(text, NOW) == sent
    parse_rfc3339(sent)


@pytest.mark.parametrize(
    "text",
    ["", "d", "7", "7x", "-7d", "0d", "7d later", "3 days ago", "last week", "2026-02-30", "2026-01-31T10:00:00",
     "\u0667d", "1.5h", "7months", "999999999w"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time; write 7d, 2h"):
        to_rfc3339(text, NOW)


# ---- walking ---------------------------------------------------------------------------------------------------------


def page(numbers: Sequence[int], cursor: str | None, *, more: bool = True) -> Page:
    return Page([{"id": number} for number in numbers], more, cursor, {}, [])


SLEPT: list[float] = []
NOTICES: list[str] = []


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "sleep", SLEPT.append)
    monkeypatch.setattr(walking, "print_error", NOTICES.append)


class Scripted:
    """Answer with the given pages and problems, and record the queries."""

    def __init__(self, *answers: Page | Problem) -> None:
        SLEPT.clear()
        NOTICES.clear()
        self.answers = list(answers)
        self.asked: list[Pairs] = []

    def page(self, pairs: Pairs) -> Page:
        self.asked.append(list(pairs))
        answer = self.answers.pop(0)
        if isinstance(answer, Problem):
            raise answer
        return answer


def ids(pages: Iterator[Page]) -> list[int]:
    return [event["id"] for one in pages for event in one.events]


def test_a_walk_goes_on_by_cursor_alone_and_through_empty_pages() -> None:
    client = Scripted(page([1, 2], "a"), page([], "b"), page([3], None, more=False))
    assert ids(walk(client, [("type", "x"), ("partial", "true")])) == [1, 2, 3]
    assert client.asked == [
        [("type", "x"), ("partial", "true"), ("limit", "1000")],
        [("cursor", "a"), ("partial", "true"), ("limit", "1000")],
        [("cursor", "b"), ("partial", "true"), ("limit", "1000")],
    ]
    assert SLEPT == []


def test_a_walk_asks_for_no_more_than_is_wanted() -> None:
    client = Scripted(page(range(1000), "a"), page(range(1000, 1200), "b"), page([0] * 3, "c"))
    assert len(ids(walk(client, [], most=1203))) == 1203
    assert [dict(pairs)["limit"] for pairs in client.asked] == ["1000", "203", "3"]


def test_what_passes_is_waited_out_but_not_on_the_first_page() -> None:
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


def test_a_source_that_has_failed_is_not_waited_for_when_the_others_have_no_more() -> None:
    def with_failed(*names: str) -> Page:
        return Page([{"id": 1}], True, "a", {}, [{"name": name, "status": "failed"} for name in names])

    down = Problem("source_unavailable", "down", sources=[{"name": "a"}], retry_after=30.0)
    client = Scripted(with_failed("a"), down)
    with pytest.raises(Problem, match="down"):
        ids(walk(client, [("partial", "true")]))
    assert (SLEPT, NOTICES) == ([], [])
    # One that fails only now may be back in a moment.
    for before in ([], ["b"]):
        client = Scripted(with_failed(*before), down, page([2], None, more=False))
        assert ids(walk(client, [("partial", "true")])) == [1, 2]
        assert SLEPT == [30.0]


def test_a_follower_waits_only_when_there_is_nothing_and_never_gives_up() -> None:
    down = Problem("source_unavailable", "down")
    client = Scripted(
        page([1], "a"), page([2], "b", more=False), page([], "c", more=False), *[down] * 20, page([3], "d", more=False)
    )
    assert ids(walk(client, [("follow", "true")], most=3, follow=True)) == [1, 2, 3]
    assert SLEPT[:2] == [POLL, POLL]
    assert max(SLEPT) <= 60
    assert len(SLEPT) == 22
    assert len(NOTICES) == 1, "the same complaint is made once"
    assert [dict(pairs).get("cursor") for pairs in client.asked[:4]] == [None, "a", "b", "c"]


# ---- what is printed -------------------------------------------------------------------------------------------------


@given(st.integers(18, 400), st.text(max_size=40))
def test_the_table_fits_the_terminal(width: int, text: str) -> None:
    shown = io.StringIO()
    event: dict[str, Any] = {
        "occurred_at": "2026-01-01T00:00:00.000000Z", "source": "s", "type": "recipient.identity_verified",
        "outcome": "success", "envelope": {"id": text}, "actor": {"name": text}, "recipient": {"name": text},
    }  # fmt: skip
    EventTable(Console(file=shown, width=width), cut=True).add([event])
    assert max(map(cell_len, shown.getvalue().splitlines())) <= width
    assert width < 60 or " recipient.identity_verified " in shown.getvalue()


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    event: dict[str, Any] = {
        "occurred_at": "2026-01-01T00:00:00.000000Z", "source": "s", "type": "unknown", "provider_type": "\x1b[2J",
        "envelope": {"id": "e", "name": "[bold]\x9b31m\n"}, "actor": {"kind": "system", "name": "\u202egnp"},
        "recipient": None,
    }  # fmt: skip
    assert cells_of(event)[2:] == ("unknown (·[2J)", "[bold]·31m·", "·gnp", "-")
    line = json_line({"a": "\x1b\x7f\x9b\u2028\ud800é"})
    assert line == b'{"a":"\\u001b\\u007f\\u009b\\u2028\\ud800\xc3\xa9"}\n'
    assert json.loads(line) == {"a": "\x1b\x7f\x9b\u2028\ud800é"}


# ---- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
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
def test_answers_that_are_no_page(status: int, body: str, code: str, says: str) -> None:
    answer = httpx.Response(status, text=body, headers={"Retry-After": "9", "Location": "http://elsewhere"})
    client = Client("http://gateway/under", "key", httpx.MockTransport(lambda request: answer))
    with pytest.raises(Problem) as caught:
        client.page([])
    assert caught.value.code == code
    assert says in sentence(caught.value, partial_helps=True)
    client.close()


def test_a_gateway_under_a_path() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"data": []})

    client = Client("http://gateway/under/", "key", httpx.MockTransport(answer))
    assert client.sources() == []
    assert str(asked[0].url) == "http://gateway/under/sources"
    assert asked[0].headers["authorization"] == "Bearer key"
    client.close()


@pytest.mark.parametrize(
    ("url", "says"), [("https://127.0.0.1:9", "Connection refused"), ("http://no.such.host.invalid", "not known")]
)
def test_why_nobody_is_reached(url: str, says: str) -> None:
    client = Client(url, None)
    with pytest.raises(Problem) as caught:
        client.page([])
    client.close()
    assert caught.value.code == "unreachable"
    found = sentence(caught.value)
    assert found.startswith(f"GATEWAY_URL: {url} cannot be reached (")
    assert says in found
    assert "audit-gateway serve" in found


# ---- the file that grows ---------------------------------------------------------------------------------------------


def test_what_lies_behind_the_mark_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out"
    saved = Checkpoint(asked="all", cursor="c1", length=4, events=1)
    with ResumableFile(path) as file:
        file.begin(Checkpoint(asked="all"))
        file.add(b"one\n", saved)
    # A kill between the two writes: the piece is there, its mark is not.
    path.write_bytes(b"one\ntwo\nth")
    with ResumableFile(path) as file:
        checkpoint = file.checkpoint()
        assert checkpoint == saved
        assert path.read_bytes() == b"one\ntwo\nth", "looking changes nothing"
        file.begin(checkpoint)
        file.finish(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"
    assert [found.name for found in tmp_path.iterdir()] == ["out"]


def test_what_was_never_begun_leaves_nothing_and_two_do_not_write_at_once(tmp_path: Path) -> None:
    with (
        ResumableFile(tmp_path / "out"),
        pytest.raises(ConfigurationError, match="another export"),
        ResumableFile(tmp_path / "out"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"version":1,"length":"4","asked":"all"}', '{"version":2,"asked":""}']
)
def test_a_mark_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "out.cursor").write_text(text)
    with ResumableFile(tmp_path / "out") as file, pytest.raises(ConfigurationError, match="--force"):
        file.checkpoint()
