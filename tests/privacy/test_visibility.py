"""`q`, judged by the gateway on what the caller may see."""

from collections.abc import Iterable
from typing import Any, ClassVar, cast

from app.domain.caller import Caller
from app.domain.event import Record
from app.domain.query import Query
from app.domain.text import Memoized
from app.feed.visibility import filter_for
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Source
from app.providers.taktikal.record import records_of
from tests.providers.taktikal.items import process_of

NAMES = Pseudonyms("x" * 32)


class Searching:
    filters: ClassVar = {"q": "native"}


def records(entries: int, signees: int = 2, **others: Any) -> Iterable[Record]:
    log = [
        {"id": number, "status": "SMS:DELIVERED", "createdAt": "2026-05-01T00:00:00.0000000Z", "signeeKey": "si0",
         "createdBy": f"by{number}@example.is", "fileName": f"contract-{number}.pdf"}
        | {name: f"{value}{number}" for name, value in others.items()}
        for number in range(entries)
    ]  # fmt: skip
    people = [
        {"signeeKey": f"si{number}", "name": f"Jon{number}", "phone": f"+354{5550000 + number}"}
        for number in range(signees)
    ]
    return records_of("t", process_of({"processKey": "sp1", "activityLog": log, "signees": people}))[0]


def kept(q: str, found: Iterable[Record], pseudonyms: Pseudonyms | None = None) -> list[bool]:
    keeps = filter_for(Query(q=q), cast(Source, Searching()), Caller("c", frozenset({"events:read"})), pseudonyms)
    return [keeps(record) for record in found]


def test_q_is_looked_for_in_what_may_be_seen() -> None:
    assert kept("contract-1.PDF", records(2)) == [True, True], "the envelope's texts are those of all its entries"
    assert kept("5550001", records(2)) == [False, False]
    assert kept("jon1", records(2)) == [True, True]
    assert kept("jon1", records(2), NAMES) == [False, False]
    assert kept(NAMES.of("Jon1"), records(2), NAMES) == [True, True]


def test_a_type_of_the_provider_is_judged_as_it_is_shown() -> None:
    found = records(1, status="Sent to 555000")  # and the entry's number, which makes it the phone of a signee
    for value, matches in (("Sent to 5550000", False), ("Sent to ***", True)):
        for name in ("provider_type", "provider_type_not"):
            query = Query.model_validate({name: (value,)})
            keeps = filter_for(query, cast(Source, Searching()), Caller("c", frozenset({"events:read"})), None)
            assert [keeps(record) for record in found] == [matches == (name == "provider_type")]


def test_a_long_log_is_judged_once_for_all_its_records() -> None:
    """Each record's texts are the whole log's: judged for each record, this would take longer than a test may."""
    assert not any(kept("zzz", records(20_000)))


def test_what_is_private_in_one_entry_is_hidden_in_all_of_its_envelope() -> None:
    first, second = records(2, mobileNumber="55512")
    assert first.private_values() is second.private_values()
    assert {"555120", "555121"} <= set(first.private_values())
    assert first.texts() is second.texts()
    assert first.person_values() is second.person_values()


def test_of_equal_texts_something_is_made_once() -> None:
    made: list[frozenset[str]] = []

    def make(texts: frozenset[str]) -> int:
        made.append(texts)
        return len(made)

    once = Memoized(make, most=2)
    shared = ("a", "b", "")
    assert [once.of(shared), once.of(shared), once.of(["b", "a"]), once.of(["b"], ["a", ""])] == [1, 1, 1, 1]
    assert [once.of(shared, ["c"]), once.of(("c",), shared), once.of(shared, ["a"])] == [2, 2, 1]
    assert made == [{"a", "b"}, {"a", "b", "c"}]
    assert [once.of(["d"]), once.of(shared)] == [3, 4], "no more are kept than may be"
