"""What counts as private in a name, and how private values are hidden in a text."""

import pytest

from app.privacy.masking import Mask
from app.privacy.person_fields import is_private_name, private_leaves, private_members
from app.privacy.replacer import MASK


@pytest.mark.parametrize(
    "name",
    ["phone", "Phone", "PHONE", "phoneNumber", "phone_number", "recipientPhone", "mobile", "mobile_phone",
     "MobileNumber", "tel", "telNo", "telno", "gsm", "gsmNumber", "smsNumber", "sms_number", "cellNumber",
     "emailOrPhone", "phoneOrEmail", "recipientEmailOrPhone", "emailAddressOrPhone",
     "ssn", "SSN", "signeeSsn", "recipient_ssn", "userssn", "nationalId", "national_id", "NationalIDNumber",
     "nationalNumber", "kennitala", "personalNumber", "personalCode", "idNumber", "IDNumber", "idnumber", "id_number",
     "recipientIdNumber", "identificationNumber", "identityCode", "taxId", "tax_id", "taxNumber",
     "address", "homeAddress", "streetAddress", "mailingAddress", "mailAddressStreet", "ipAddress", "postalCode",
     "postal_code", "PostalCode", "zip", "zipCode", "city", "streetName",
     "sími", "farsími", "FarSimi", "símanúmer", "heimilisfang", "póstnúmer", "telefon", "Telefonnummer", "puhelin",
     "fødselsnummer", "henkilötunnus", "adresse", "gatuadress", "téléphone", "ｐｈｏｎｅ", "pho\u200bne",
     "e-mailadresseOrTlf", "idCardNumber", "osoite", "codiceFiscale"],
)  # fmt: skip
def test_private_names(name: str) -> None:
    assert is_private_name(name)


@pytest.mark.parametrize(
    "name",
    ["email", "emailAddress", "email_address", "emailAddresses", "e_mail_address", "recipientEmail", "mailAddress",
     "emailAdresse", "name", "className", "title", "status", "role", "id", "uuid", "documentId", "documentUuid",
     "envelopeUuid",
     "envelopeId", "personId", "workspaceId", "processKey", "capacity", "publicity", "velocity", "hotel", "hotelNo",
     "telemetry", "phase", "zippedAt", "createdAt", "assignee", "signatureType", "gridNumber", "paidNumber", "syntaxId",
     "smsStatus", "lessN", ""],
)  # fmt: skip
def test_names_that_only_look_private(name: str) -> None:
    assert not is_private_name(name)


def test_an_address_that_stands_where_a_phone_may_stand_is_not_hidden_elsewhere() -> None:
    assert [*private_leaves({"emailOrPhone": "anna@example.com"})] == []
    assert [*private_leaves({"emailOrPhone": "5551234", "phone": "a@5551234"})] == ["5551234", "a@5551234"]


@pytest.mark.parametrize(
    ("values", "text", "wanted"),
    [
        (["999999-1234"], "id 999999-1234.", "id ***."),
        (["999999-1234"], "id 9999991234.", "id ***."),
        (["9999991234"], "id 999999-1234.", "id ***."),
        (["+3545812345"], "tel 5812345.", "tel ***."),
        (["+3545812345"], "tel 00354 581 2345", "tel ***"),
        (["+354 581 2345"], "+354-581-2345!", "***!"),
        (["003545812345"], "5812345", "***"),
        (["5812345"], "+354 5812345", "***"),
        (["Laugavegur 1"], "at LAUGAVEGUR  1, 3rd floor", "at ***, 3rd floor"),
        (["101"], "101 Town, at 10:10:12, nr 1017, id 2101x", "*** Town, at 10:10:12, nr 1017, id 2101x"),
        (["Vik"], "vik Viking", "*** Viking"),
        (["a.b*c(d"], "x a.b*c(d y aXbXc", "x *** y aXbXc"),
        (["", "  "], "nothing", "nothing"),
        ([], "nothing to hide", "nothing to hide"),
        (["555-1234", "555-1234-99"], "555-1234-99", "***"),
        (["S\u00ed\u00f0um\u00fali 5"], "at Si\u0301\u00f0umu\u0301li 5!", "at ***!"),
        (["Si\u0301\u00f0umu\u0301li 5"], "at S\u00ed\u00f0um\u00fali 5!", "at ***!"),
        (["S\u00ed\u00f0um\u00fali 5"], "at SIDUMULI 5!", "at ***!"),
        (["555-1234"], "call 555\u20111234, 555\u20131234 or 555\u00a01234", "call ***, *** or ***"),
        (["555\u20111234"], "call 5551234", "call ***"),
        (["5551234"], "\uff15\uff15\uff15\uff11\uff12\uff13\uff14", "***"),
        (["5551234"], "cafe\u0301 \u2013 \uff11", "cafe\u0301 \u2013 \uff11"),
    ],
)
def test_values_are_hidden_however_they_are_written(values: list[str], text: str, wanted: str) -> None:
    assert Mask(values).text(text) == wanted


def test_what_is_hidden_stays_hidden_when_masked_again() -> None:
    mask = Mask(["999999-1234", "Laugavegur 1"]).text
    once = mask("999999-1234, Laugavegur 1")
    assert mask(once) == once == f"{MASK}, {MASK}"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call +354 869 1177 now", "call *** now"),
        ("call 00354 869-1177", "call ***"),
        ("+4791234567", "***"),
        ("id 120387-4459.", "id ***."),
        ("id 19870312-4459", "id ***"),
        ("0b0b0b0b-1111-4222-8333-444444444444", "0b0b0b0b-1111-4222-8333-444444444444"),
        ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
        ("at 2026-05-01T10:00:00+00:00", "at 2026-05-01T10:00:00+00:00"),
        ("at 2026-05-01T10:00:00.123456+0200", "at 2026-05-01T10:00:00.123456+0200"),
        ("invoice 202688-0012", "invoice 202688-0012"),
        ("version 1.2.3-4567, 12+34", "version 1.2.3-4567, 12+34"),
    ],
)
def test_what_is_written_as_a_phone_or_a_national_id_is_hidden_whosever_it_is(text: str, masked: str) -> None:
    assert Mask([]).text(text) == masked


def test_a_member_with_a_nul_in_its_name_is_private() -> None:
    assert private_members({"phone\0x": 1, "x": 2}) == {"phone\0x"}


def test_what_stands_under_a_private_name_is_hidden_elsewhere_too() -> None:
    data = {"ssn": "x-7712", "deep": [{"homeAddress": {"line": "Elm 4", "n": 12345}}], "zip": "9", "ok": "y"}
    assert sorted(private_leaves(data)) == ["12345", "Elm 4", "x-7712"]


def test_very_many_values_are_looked_for_at_once() -> None:
    """Tried one after another in each text, they would take longer than a test may."""
    mask = Mask(str(number) + "a" for number in range(1_000_000, 1_030_000)).text
    assert [mask(f"note {number}") for number in range(30_000)] == [f"note {number}" for number in range(30_000)]
    assert mask("of 1000007a") == f"of {MASK}"


def test_of_very_many_values_only_those_in_the_text_are_hidden() -> None:
    streets = [f"Laugavegur {number}" for number in range(1, 1000)]
    streets_of_another_town = [f"{number} Laugavegur" for number in range(1, 1000)]
    for values in (streets, streets + streets_of_another_town):
        assert Mask(values).text("at Laugavegur 7, first floor") == f"at {MASK}, first floor"
        assert Mask(values).text("at Sudurgata 7") == "at Sudurgata 7"
    assert Mask(streets).text(", ".join(streets[:100])) == ", ".join([MASK] * 100)
    assert Mask(streets).text(", ".join(streets)) == MASK, "the whole text, where it has more than 512"
    phones = [f"+354 555 {number}" for number in range(1000, 3000)]
    assert [Mask(phones).text(f"call 555-{number}!") for number in (1500, 2999, 3000)] == [
        f"call {MASK}!", f"call {MASK}!", "call 555-3000!",
    ]  # fmt: skip
