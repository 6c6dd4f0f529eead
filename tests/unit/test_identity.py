"""Who is a person in an event, and pseudonyms in the place of people."""

from __future__ import annotations

import pytest

from app.engine.identity import disguise_for, is_identity_name
from app.engine.pseudonyms import Pseudonyms


@pytest.mark.parametrize(
    "name",
    ["name", "firstName", "last_name", "fullname", "displayName", "email", "recipientEmail", "createdBy", "invitedBy",
     "owner", "userName", "signeeName", "author", "mailbox"],
)  # fmt: skip
def test_names_under_which_there_are_people(name: str) -> None:
    assert is_identity_name(name)


@pytest.mark.parametrize(
    "name",
    ["fileName", "documentName", "flowName", "workspaceName", "activityDisplayName", "id", "status", "", "by", "1"],
)
def test_names_under_which_there_are_things(name: str) -> None:
    assert not is_identity_name(name)


def test_people_are_found_in_texts_and_stay_the_same_person() -> None:
    names = Pseudonyms("x" * 32)
    disguise = disguise_for(["Anna Jonsdottir", "anna@example.com"], names)
    anna, address = names.of("anna jonsdottir"), names.of("anna@example.com")
    assert disguise("ANNA  JONSDOTTIR signed") == f"{anna} signed"
    assert disguise("mail Anna@Example.com, x@y.example") == f"mail {address}, {names.of('x@y.example')}"
    assert disguise("dear Anna") == f"dear {names.of('anna')}"
    assert disguise("Annabel, hanna") == "Annabel, hanna"
    assert disguise(disguise(f"{anna} and Anna")) == disguise(f"{anna} and Anna"), "a pseudonym stays one"
