"""What counts as private in a name, and how private values are hidden in a text."""

from __future__ import annotations

import pytest

from app.engine.masking import MASK, is_private_name, mask_for


@pytest.mark.parametrize(
    "name",
    [
        "phone",
        "Phone",
        "phoneNumber",
        "phone_number",
        "recipientPhone",
        "PHONE",
        "mobile",
        "ssn",
        "SSN",
        "signeeSsn",
        "nationalId",
        "national_id",
        "kennitala",
        "personalNumber",
        "address",
        "streetAddress",
        "postalCode",
        "postal_code",
        "city",
        "zip",
    ],
)
def test_private_names(name: str) -> None:
    assert is_private_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "email",
        "emailAddress",
        "email_address",
        "name",
        "id",
        "uuid",
        "envelopeUuid",
        "title",
        "documentUuid",
        "capacity",
        "publicity",
        "telemetry",
        "assignee",
        "",
        "signatureType",
        "role",
    ],
)
def test_names_that_are_not(name: str) -> None:
    assert not is_private_name(name)


@pytest.mark.parametrize(
    ("values", "text", "wanted"),
    [
        (["999999-1234"], "id 999999-1234.", f"id {MASK}."),
        (["999999-1234"], "id 9999991234.", f"id {MASK}."),
        (["9999991234"], "id 999999-1234.", f"id {MASK}."),
        (["+354 555 1234"], "call 5551234 now", f"call {MASK} now"),
        (["+3545551234"], "call 00354 555-1234", f"call {MASK}"),
        (["Laugavegur 1"], "at LAUGAVEGUR  1, 3rd floor", f"at {MASK}, 3rd floor"),
        (["101"], "101 Town, at 10:10:12, nr 1017", f"{MASK} Town, at 10:10:12, nr 1017"),
        (["a.b*c+d"], "a.b*c+d and axbbc", f"{MASK} and axbbc"),
        (["", "  "], "nothing", "nothing"),
        ([], "nothing to hide", "nothing to hide"),
        (["555-1234", "555-1234-99"], "555-1234-99", MASK),
    ],
)
def test_values_are_hidden_however_they_are_written(values: list[str], text: str, wanted: str) -> None:
    assert mask_for(values)(text) == wanted


def test_what_is_hidden_stays_hidden_when_masked_again() -> None:
    mask = mask_for(["999999-1234", "Laugavegur 1"])
    once = mask("999999-1234, Laugavegur 1")
    assert mask(once) == once == f"{MASK}, {MASK}"
