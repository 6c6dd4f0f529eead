"""The query parameters of `GET /events`, each on its own and together (contract section 3)."""

from typing import Any

import pytest

from app.domain.errors import InvalidCursor, ParameterError
from app.domain.parameters import parameter_names, read_query
from app.domain.query import PAGING, EventQuery, NoParameters
from app.domain.times import parse_rfc3339


def parse(**given: Any) -> EventQuery:
    return read_query(
        EventQuery,
        ((name, text) for name, texts in given.items() for text in (texts if isinstance(texts, list) else [texts])),
    )


def errors(**given: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(ParameterError) as error:
        parse(**given)
    return error.value.code, dict(error.value.errors)


def test_every_parameter_is_read_and_normalized() -> None:
    asked = parse(
        since="2026-05-01", until="2026-06-01", source=["b", "a", "b"], provider="p", category=["team", "envelope"],
        type=["recipient.*", "envelope.created"], provider_type="X:Y", envelope_id=["2", "1"], workspace_id="w",
        flow_id="f", flow_type="F", envelope_status="active", owner="o@example.com", actor="A@example.com",
        recipient="r", q="two words", order="asc", limit="7", include=["raw", "total"], partial="true", follow="false",
    )  # fmt: skip
    assert asked.given(PAGING) == {
        "since": parse_rfc3339("2026-05-01"), "until": parse_rfc3339("2026-06-01"), "source": ("a", "b"),
        "provider": ("p",), "category": ("envelope", "team"), "type": ("envelope.created", "recipient.*"),
        "provider_type": ("X:Y",), "envelope_id": ("1", "2"), "workspace_id": "w", "flow_id": "f", "flow_type": "F",
        "envelope_status": "active", "owner": "o@example.com", "actor": "A@example.com", "recipient": "r",
        "q": "two words", "order": "asc", "follow": False,
    }  # fmt: skip
    assert (asked.limit, asked.include, asked.partial, asked.cursor) == (7, {"raw", "total"}, True, None)


def test_what_is_left_out_is_absent() -> None:
    assert parse() == EventQuery()


REPEATED = {
    "source", "provider", "category", "type", "provider_type", "envelope_id", "include", "type.not",
    "provider_type.not", "category.not", "source.not", "actor.not",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(parameter_names(EventQuery)) - REPEATED))
def test_only_some_may_be_repeated(name: str) -> None:
    code, found = errors(**{name: ["true", "true"]})
    assert code == "invalid_parameter"
    assert "once" in found[name]


@pytest.mark.parametrize(("count", "good"), [(50, True), (51, False)])
def test_at_most_fifty_envelopes(count: int, good: bool) -> None:
    ids = [f"e{number}" for number in range(count)]
    if good:
        assert len(parse(envelope_id=ids).envelope_id) == 50
    else:
        assert "50" in errors(envelope_id=ids)[1]["envelope_id"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"), ("limit", "1001"), ("limit", "-1"), ("limit", "1.0"), ("limit", "ten"), ("limit", "١"),
        ("limit", ""), ("limit", "+5"), ("limit", " 5"), ("limit", "9" * 5000), ("order", "ASC"), ("order", ""),
        ("partial", "1"), ("partial", "True"), ("follow", "yes"), ("include", "everything"),
        ("envelope_status", "Completed"), ("type", "*"), ("type", ".*"), ("type", "a*"), ("type", "a.*.b"),
        ("type", ""),
        ("q", ""), ("q", "   "), ("q", "a\nb"), ("q", "a\x00"), ("q", "x" * 321), ("actor", "\x7f"), ("owner", " "),
        ("since", "yesterday"), ("since", "0.5"), ("since", "2026-05-01T00:00:00"), ("until", "2026-02-30"),
        ("envelope_id", ""), ("source", ""),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_remedy(name: str, value: str) -> None:
    code, found = errors(**{name: value})
    assert code == "invalid_parameter"
    assert set(found) == {name}
    assert len(found[name]) > 10


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("type", "a,b", "type=a&type=b"), ("category", "envelope,team", "without a comma"),
        ("envelope_id", "a,b", "repeat it"), ("envelope_id", "{a}", "braces"), ("envelope_id", " a", "blanks"),
        ("recipient", "a ", "blanks"), ("actor", "anna home@example.com", "%2B"),
        ("owner", "a\u00a0@example.com", "%2B"), ("person", "a b@example.com", "%2B"), 
        ("workspace_id", "{a}", "braces"),
        ("source", " north", "blanks"), ("type", " recipient.signed", "blanks"),
        ("actor.not", "a b@example.com", "%2B"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused_with_the_remedy(name: str, value: str, remedy: str) -> None:
    assert remedy in errors(**{name: value})[1][name]


@pytest.mark.parametrize("cursor", ["", "x" * 40_000])
def test_a_cursor_of_an_impossible_length_is_no_cursor(cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="the unchanged next_cursor of an earlier page"):
        parse(cursor=cursor)
    assert errors(cursor=cursor, limit="0")[0] == "invalid_parameter", "what can be named is, before"


def test_filters_that_no_cursor_could_hold_are_refused() -> None:
    """Bytes, not characters: a cursor is made of those."""
    assert read_query(EventQuery, [("envelope_id", f"{number:0320}") for number in range(50)]).envelope_id
    for given in (
        [("type", "a.b"), *(("provider_type", f"{number:0320}") for number in range(51))],
        [("type", "a.b"), *(("provider_type", f"{number}" + "é" * 310) for number in range(26))],
    ):
        with pytest.raises(ParameterError) as error:
            read_query(EventQuery, given)
        assert dict(error.value.errors).keys() == {"provider_type"}
        assert "16,000 bytes" in error.value.errors[0][1]


def test_all_faults_are_named_at_once() -> None:
    code, found = errors(limit="0", order="up", since="x")
    assert (code, set(found)) == ("invalid_parameter", {"limit", "order", "since"})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("typ", "type"), ("Limit", "limit"), ("envelope", "envelope_id"), ("order_by", "order"), ("actors", "actor"),
        ("sort", "order"), ("sort_by", "order"), ("sortOrder", "order"), ("direction", "order"), ("from", "since"),
        ("start-date", "since"), ("after", "since"), ("to", "until"), ("end", "until"), ("before", "until"),
        ("search", "q"), ("page", "cursor"), ("offset", "cursor"), ("per_page", "limit"), ("size", "limit"),
        ("email", "actor"), ("user", "actor"),
    ],
)  # fmt: skip
def test_an_unknown_parameter_and_the_nearest_known_one(name: str, near: str) -> None:
    code, found = errors(**{name: "x"})
    assert code == "unknown_parameter"
    assert found[name].endswith(f"did you mean {near}?")


@pytest.mark.parametrize("name", ["zzzzzzzz", "EVENTS", "tz", "x"])
def test_a_parameter_that_is_near_to_none(name: str) -> None:
    assert "known are since" in errors(**{name: "x"})[1][name]


def test_only_what_the_call_offers_is_hinted_at() -> None:
    with pytest.raises(ParameterError, match="it takes none"):
        read_query(NoParameters, [("page", "2")])


@pytest.mark.parametrize(
    ("given", "code", "parameter"),
    [
        ({"since": "2026-05-02", "until": "2026-05-01"}, "invalid_window", "since"),
        ({"since": "2026-05-01", "until": "2026-05-01"}, "invalid_window", "since"),
        ({"since": "2026-05-01T00:00:00.0000009Z", "until": "2026-05-01T00:00:00.0000001Z"}, "invalid_window", "since"),
        ({"follow": "true"}, "invalid_parameter", "follow"),
        ({"follow": "true", "order": "desc"}, "invalid_parameter", "follow"),
        ({"follow": "true", "order": "asc", "until": "2026-05-01"}, "invalid_parameter", "follow"),
        ({"follow": "true", "order": "desc", "cursor": "x"}, "invalid_parameter", "follow"),
    ],
    ids=str,
)
def test_what_does_not_go_together(given: dict[str, str], code: str, parameter: str) -> None:
    found = errors(**given)
    assert found[0] == code
    assert set(found[1]) == {parameter}


def test_beside_a_cursor_the_order_may_be_left_out() -> None:
    assert parse(follow="true", cursor="x").given(PAGING) == {"follow": True}
