"""Who is a person in an event, and pseudonyms in the place of people."""

import pytest

from app.privacy.person_fields import is_person_name
from app.privacy.pseudonyms import PersonMask, Pseudonyms


@pytest.mark.parametrize(
    "name",
    ["name", "firstName", "last_name", "fullname", "displayName", "email", "recipientEmail", "createdBy", "invitedBy",
     "owner", "userName", "signeeName", "author", "mailbox"],
)  # fmt: skip
def test_names_under_which_there_are_people(name: str) -> None:
    assert is_person_name(name)


@pytest.mark.parametrize(
    "name",
    ["fileName", "documentName", "flowName", "workspaceName", "activityDisplayName", "id", "status", "", "by", "1"],
)
def test_names_under_which_there_are_things(name: str) -> None:
    assert not is_person_name(name)


def test_people_are_found_in_texts_and_stay_the_same_person() -> None:
    names = Pseudonyms("x" * 32)
    disguise = PersonMask(["Anna Jonsdottir", "anna@example.com"], names).text
    anna, address = names.of("anna jonsdottir"), names.of("anna@example.com")
    assert disguise("ANNA  JONSDOTTIR signed") == f"{anna} signed"
    assert disguise("mail Anna@Example.com, x@y.example") == f"mail {address}, {names.of('x@y.example')}"
    assert disguise("dear Anna") == f"dear {names.of('anna')}"
    assert disguise("Annabel, hanna") == "Annabel, hanna"
    assert disguise(disguise(f"{anna} and Anna")) == disguise(f"{anna} and Anna"), "a pseudonym stays one"


def test_addresses_are_found_wherever_they_begin() -> None:
    names = Pseudonyms("x" * 32)
    disguise = PersonMask(["Anna"], names).text
    long = "a" * 300 + "@example.com"
    assert disguise(f"<{long}>, a.b+c@d.example.") == f"<{names.of(long)}>, {names.of('a.b+c@d.example')}."
    assert disguise("Anna.b@x.example") == names.of("anna.b@x.example"), "one person"
    assert disguise("to=anna%40x.example now") == "*** now", "percent-encoded"


@pytest.mark.parametrize("text", ["a", "a.", "a@", "a@a-", "a@b."])
def test_a_vendors_long_text_is_read_once(text: str) -> None:
    """Read again from each of its letters, it would take longer than a test may."""
    PersonMask(["Anna"], Pseudonyms("x" * 32)).text(text * 200_000)


def test_people_are_found_however_their_accents_are_encoded() -> None:
    names = Pseudonyms("x" * 32)
    composed, apart = "J\u00f3n", "Jo\u0301n"
    for known in (composed, apart):
        disguise = PersonMask([known], names).text
        assert disguise(f"by {composed}, {apart}") == f"by {names.of(composed)}, {names.of(composed)}"
    assert disguise(f"{apart}@x.example") == disguise(f"{composed}@x.example")
    assert disguise("cafe\u0301") == "cafe\u0301", "what names nobody stays as it was sent"
