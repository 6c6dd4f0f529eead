"""The query parameters of `GET /events`, alone and combined (contract, section 3)."""

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


def test_every_parameter_is_parsed_and_normalized() -> None:
    query = parse(
        since="2026-05-01", until="2026-06-01", source=["b", "a", "b"], provider="p", category=["team", "envelope"],
        type=["recipient.*", "envelope.created"], provider_type="X:Y", envelope_id=["2", "1"], workspace_id="w",
        flow_id="f", flow_type="F", envelope_status="active", owner="o@example.com", actor="A@example.com",
        recipient="r", q="two words", order="asc", limit="7", include=["raw", "total"], partial="true", follow="false",
    )  # fmt: skip
    assert query.given(PAGING) == {
        "since": parse_rfc3339("2026-05-01"), "until": parse_rfc3339("2026-06-01"), "source": ("a", "b"),
        "provider": ("p",), "category": ("envelope", "team"), "type": ("envelope.created", "recipient.*"),
        "provider_type": ("X:Y",), "envelope_id": ("1", "2"), "workspace_id": "w", "flow_id": "f", "flow_type": "F",
        "envelope_status": "active", "owner": "o@example.com", "actor": "A@example.com", "recipient": "r",
        "q": "two words", "order": "asc", "follow": False,
    }  # fmt: skip
    assert (query.limit, query.include, query.partial, query.cursor) == (7, {"raw", "total"}, True, None)
    assert parse() == EventQuery()


REPEATED = {
    "source", "provider", "category", "type", "provider_type", "envelope_id", "include", "type.not",
    "provider_type.not", "category.not", "source.not", "actor.not",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(parameter_names(EventQuery)) - REPEATED))
def test_a_parameter_with_one_value_may_not_be_repeated(name: str) -> None:
    code, found = errors(**{name: ["true", "true"]})
    assert code == "invalid_parameter"
    assert "once" in found[name]


def test_at_most_fifty_envelopes() -> None:
    ids = [f"e{number}" for number in range(51)]
    assert len(parse(envelope_id=ids[:50]).envelope_id) == 50
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
def test_an_invalid_value_is_named_with_a_message(name: str, value: str) -> None:
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
def test_a_value_that_is_surely_a_mistake_is_rejected_with_the_remedy(name: str, value: str, remedy: str) -> None:
    assert remedy in errors(**{name: value})[1][name]


@pytest.mark.parametrize("cursor", ["", "x" * 40_000])
def test_a_cursor_of_an_impossible_length_is_rejected(cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="the unchanged next_cursor of an earlier page"):
        parse(cursor=cursor)
    assert errors(cursor=cursor, limit="0")[0] == "invalid_parameter", "the invalid parameter is not named first"


def test_filters_that_do_not_fit_into_a_cursor_are_rejected() -> None:
    """The bound is in bytes, not characters."""
    assert read_query(EventQuery, [("envelope_id", f"{number:0320}") for number in range(50)]).envelope_id
    for pairs in (
        [("type", "a.b"), *(("provider_type", f"{number:0320}") for number in range(51))],
        [("type", "a.b"), *(("provider_type", f"{number}" + "é" * 310) for number in range(26))],
    ):
        with pytest.raises(ParameterError) as error:
            read_query(EventQuery, pairs)
        assert dict(error.value.errors).keys() == {"provider_type"}
        assert "16,000 bytes" in error.value.errors[0][1]


def test_all_invalid_parameters_are_named_at_once() -> None:
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
def test_an_unknown_parameter_is_rejected_with_the_nearest_known_one(name: str, near: str) -> None:
    code, found = errors(**{name: "x"})
    assert code == "unknown_parameter"
    assert found[name].endswith(f"did you mean {near}?")


@pytest.mark.parametrize("name", ["zzzzzzzz", "EVENTS", "tz", "x"])
def test_an_unknown_parameter_near_to_none_is_rejected_with_all_known_ones(name: str) -> None:
    assert "known are since" in errors(**{name: "x"})[1][name]


def test_a_call_without_parameters_suggests_none() -> None:
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
def test_contradictory_parameters_are_rejected(given: dict[str, str], code: str, parameter: str) -> None:
    found = errors(**given)
    assert found[0] == code
    assert set(found[1]) == {parameter}


def test_order_may_be_omitted_beside_a_cursor() -> None:
    assert parse(follow="true", cursor="x").given(PAGING) == {"follow": True}
