"""Identity, order and ordinals of Taktikal's entries."""

import itertools
from typing import Any

import msgspec
import pytest

from app.paging.event_id import decode_event_id
from app.providers.taktikal.record import read_locator, records_of
from app.providers.taktikal.wire import Process
from tests.providers.taktikal.items import process_of


def process(*entries: dict[str, Any]) -> Process:
    return process_of({"processKey": "sp1", "activityLog": list(entries)})


def entry(at: str = "2024-01-01T00:00:00.0000000Z", **members: Any) -> dict[str, Any]:
    return {"status": "Reminder", "createdAt": at, **members}


def ids(*entries: dict[str, Any]) -> list[str]:
    return [record.event().id for record in records_of("s", process(*entries))[0]]


def test_twins_differ_by_their_ordinal_alone() -> None:
    found = [decode_event_id(text) for text in ids(entry(id=1), entry(id=1), entry(id=1))]
    assert [each.ordinal for each in found] == [0, 1, 2]
    assert len({each.locator for each in found}) == 1


def test_ordinals_do_not_depend_on_other_entries_of_the_log() -> None:
    """A trimmed log contains all entries of a microsecond or none."""
    twins = [entry(id=4), entry(id=4)]
    before, after = entry("2023-12-31T23:59:59Z", id=4), entry("2024-01-01T00:00:01Z", id=4)
    assert ids(before, *twins, after)[1:3] == ids(*twins)


def test_identity_is_source_process_time_and_id() -> None:
    (one,) = ids(entry(id=1, description="before"))
    assert one == ids(entry(id=1, description="after", status="Other"))[0]
    assert one != ids(entry(id=2))[0]
    assert one != ids(entry("2024-01-01T00:00:00.0000001Z", id=1))[0], "the seventh digit is ignored"
    (record,) = records_of("s", process_of({"processKey": "sp2", "activityLog": [entry(id=1)]}))[0]
    assert one != record.event().id
    for record in records_of("other", process(entry(id=1), entry(id=1)))[0]:
        assert record.event().id not in ids(entry(id=1), entry(id=1))


def test_without_an_id_identity_is_the_content() -> None:
    one, other = ids(entry(), entry(description="x"))
    assert one != other
    assert ids(entry()) == [one]
    assert ids(dict(reversed(entry().items()))) == [one]
    assert ids({"Status": "Reminder", "CreatedAt": entry()["createdAt"]}) == [one]


@pytest.mark.parametrize("identity", ["17", 17])
def test_an_id_sent_as_text_equals_its_number(identity: Any) -> None:
    assert ids(entry(id=identity)) == ids(entry(id=17))


@pytest.mark.parametrize("identity", [1 << 63, -(1 << 70), True, 1.5, "x", "", [1], "9" * 40])
def test_an_id_that_is_not_a_64_bit_number_is_part_of_the_content(identity: Any) -> None:
    (one,) = ids(entry(id=identity))
    assert one != ids(entry(id=identity, description="other"))[0]


def test_order_is_time_then_id_then_position() -> None:
    entries = [entry(id=3), entry(id=2), entry("2023-01-01T00:00:00Z", id=9), entry(id=2), entry()]
    found = sorted(records_of("s", process(*entries))[0], key=lambda record: record.key)
    shown = [(record.entry.id or None, *divmod(record.key[5], 1 << 32)) for record in found]
    assert shown == [(9, 0, 0), (None, 0, 0), (2, 0, 1), (2, 1, 1), (3, 0, 0)]
    assert found[0].key == (1_672_531_200_000_000, "s", "envelope", "sp1", 9, 0)


@pytest.mark.parametrize("members", [{}, {"id": 0}])
def test_entries_of_one_microsecond_have_one_order_in_any_shuffled_log(members: dict[str, Any]) -> None:
    entries = [
        entry(f"2024-01-01T00:00:00.000000{digit}Z", description=text, **members) for digit in "31" for text in "ba"
    ]
    first, last = entry("2023-12-31T00:00:00Z", id=1), entry("2024-01-02T00:00:00Z", id=2)
    for log in itertools.permutations((first, *entries, last)):
        found = sorted(records_of("s", process(*log))[0], key=lambda record: record.key)[1:-1]
        shown = [(record.ticks % 10, record.entry.description) for record in found]
        assert shown == [(1, "a"), (1, "b"), (3, "a"), (3, "b")]


def test_the_seventh_digit_does_not_affect_the_order() -> None:
    early, late = entry("2024-01-01T00:00:00.0000009Z", id=1), entry("2024-01-01T00:00:00.0000001Z", id=2)
    found = records_of("s", process(early, late))[0]
    assert [record.key[:1] + record.key[4:5] for record in found] == [
        (1_704_067_200_000_000, 1),
        (1_704_067_200_000_000, 2),
    ]


@pytest.mark.parametrize("at", [None, 5, "", "yesterday", "2024-13-01T00:00:00Z", "2024-01-01T25:00:00Z"])
def test_an_entry_without_a_readable_time_is_counted(at: Any) -> None:
    found, bad = records_of("s", process({"status": "Created", "createdAt": at}, entry(id=1)))
    assert (len(found), bad) == (1, 1)
    assert records_of("s", process({"createdAt": at})) == ([], 1)


def test_the_locator_contains_process_time_and_id() -> None:
    found = read_locator(decode_event_id(ids(entry(id=7))[0]).locator)
    assert (found.process, found.ticks, found.entry) == ("sp1", 17_040_672_000_000_000, 7)


def test_private_values_are_those_of_all_the_envelopes_signees() -> None:
    signees = [
        {"signeeKey": "a", "ssn": "999999-1111", "phone": "5551", "city": "", "address": None},
        {"signeeKey": "b", "ssn": 9999992222, "postalCode": "101", "name": "Not private"},
    ]
    sent = {"processKey": "sp1", "activityLog": [entry(id=1, signeeKey="a")], "signees": signees}
    (record,) = records_of("s", process_of(sent))[0]
    assert set(record.private_values()) == {"999999-1111", "5551", "9999992222", "101"}


@pytest.mark.parametrize("at", ["1999-12-31T23:59:59.9999999Z", "2099-01-01T00:00:00.0000000Z", "0001-01-01T00:00:00"])
def test_an_impossible_time_is_unreadable(at: str) -> None:
    latest = 1_800_000_000_000_000
    found, bad = records_of(
        "s", process(entry(at, id=1), entry(id=2), entry("2024-02-30T00:00:00.0000000Z")), 0, latest=latest
    )
    assert ([record.entry.id for record in found], bad) == ([2], 2)


@pytest.mark.parametrize(
    "others",
    [{}, {"name": "Jón si77777777777777"}, {"name": "Ágúst"}, {"email": "https://x.is/s/sp1/si77777777777777"}],
    ids=["no secret", "a key in a name", "letters beyond ASCII", "a link"],
)
@pytest.mark.parametrize(
    "descriptions",
    [
        ["Signed. Key: si77777777777777", "", "nothing", "SI77777777777777 twice si77777777777777"],
        ["ﬁne and accented é", "Key si77777777777777"],
        ["at https://x.is/s/sp1/si77777777777777", "\n\0\n", "si77777777777777"],
        ["x" * 20_000, "si77777777777777"],
    ],
)
def test_secrets_are_removed_from_joined_texts_as_from_single_ones(
    others: dict[str, str], descriptions: list[str]
) -> None:
    signee = {"signeeKey": "si77777777777777", "name": "Ann", **others}
    log = [
        {
            "id": n, "status": "SigneeSigned", "createdAt": "2024-01-01T00:00:00Z", "description": text,
            "signeeKey": signee["signeeKey"],
        }
        for n, text in enumerate(descriptions)
    ]  # fmt: skip
    one = process_of({"processKey": "sp1", "signees": [signee], "activityLog": log})
    events = [record.event() for record in records_of("s", one)[0]]
    alone = one.secrets.text
    assert [event.description for event in events] == [alone(text) or None for text in descriptions]
    assert {event.recipient.name for event in events if event.recipient} == {alone(signee["name"])}
    assert "si77777777777777" not in msgspec.json.encode(events).decode().casefold()
