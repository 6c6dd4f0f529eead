"""Names of members that are private or name people, masks of private values in every spelling, and pseudonyms of people
in texts."""

from __future__ import annotations

import re
import sys
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.privacy import person_fields
from app.privacy.masking import Mask
from app.privacy.person_fields import is_person_name, is_private_name, private_leaves, private_members
from app.privacy.pseudonyms import PersonMask, Pseudonyms
from app.privacy.replacer import MASK
from app.privacy.spelling import folded, plain_spelling


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
def test_these_names_are_private(name: str) -> None:
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


def test_an_email_address_in_a_phone_member_is_not_hidden_elsewhere() -> None:
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
def test_values_are_hidden_in_every_spelling(values: list[str], text: str, wanted: str) -> None:
    assert Mask(values).text(text) == wanted


def test_masking_is_idempotent() -> None:
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
def test_unknown_phones_and_national_ids_are_hidden(text: str, masked: str) -> None:
    assert Mask([]).text(text) == masked


def test_a_member_with_a_nul_in_its_name_is_private() -> None:
    assert private_members({"phone\0x": 1, "x": 2}) == {"phone\0x"}


def test_values_of_private_members_are_hidden_elsewhere() -> None:
    data = {"ssn": "x-7712", "deep": [{"homeAddress": {"line": "Elm 4", "n": 12345}}], "zip": "9", "ok": "y"}
    assert sorted(private_leaves(data)) == ["12345", "Elm 4", "x-7712"]


def test_many_values_are_searched_in_one_pass() -> None:
    """One search per value would exceed the time limit of a test."""
    mask = Mask(str(number) + "a" for number in range(1_000_000, 1_030_000)).text
    assert [mask(f"note {number}") for number in range(30_000)] == [f"note {number}" for number in range(30_000)]
    assert mask("of 1000007a") == f"of {MASK}"


def test_of_many_values_only_those_in_the_text_are_hidden() -> None:
    streets = [f"Laugavegur {number}" for number in range(1, 1000)]
    streets_of_another_town = [f"{number} Laugavegur" for number in range(1, 1000)]
    for values in (streets, streets + streets_of_another_town):
        assert Mask(values).text("at Laugavegur 7, first floor") == f"at {MASK}, first floor"
        assert Mask(values).text("at Sudurgata 7") == "at Sudurgata 7"
    assert Mask(streets).text(", ".join(streets[:100])) == ", ".join([MASK] * 100)
    assert Mask(streets).text(", ".join(streets)) == MASK, "the whole text, with more than 512 values"
    phones = [f"+354 555 {number}" for number in range(1000, 3000)]
    assert [Mask(phones).text(f"call 555-{number}!") for number in (1500, 2999, 3000)] == [
        f"call {MASK}!", f"call {MASK}!", "call 555-3000!",
    ]  # fmt: skip


LETTERS = "aikszAIKSZ é\u00c5\u0130\u0131\u017f\u212aßẞΣσςμµþÞ\ufb05\ufb06\u0307"
NUMBERS = "0123456789 ()+-/._\u00a0"
VALUES = st.lists(st.text(LETTERS, max_size=8) | st.text(NUMBERS, max_size=12), max_size=4)


def pattern_of(value: str) -> str | None:
    """Return a pattern that finds the value in a folded text with single blanks: with any signs between its letters if
    it has six or more, else as it is spelled."""
    words = " ".join(folded(value).split())
    letters = re.sub(r"[\W_]", "", words)
    if not letters:
        return None
    if len(letters) < 6:
        spelled = re.sub(r"^[\W_]+|[\W_]+$", "", words)
        return rf"(?<!\w){re.escape(spelled)}(?!\w)"
    if letters.isdecimal():
        international = value.startswith(("+", "00")) or len(letters) >= 10
        letters = letters.removeprefix("00")
        letters = letters[min(3, max(0, len(letters) - 7)) if international else 0 :]
    return r"[\W_]*".join(letters)


def holds(values: list[str], text: str) -> bool:
    patterns = filter(None, (pattern_of(plain_spelling(value).strip()) for value in values))
    plain = " ".join(folded(plain_spelling(text)).split(" "))
    plain = re.sub(r"\s+", " ", plain)
    return any(re.search(pattern, plain) for pattern in patterns)


@given(VALUES, st.text(LETTERS, max_size=20) | st.text(NUMBERS, max_size=30), st.data())
@example(["\u0130zmir 1"], "izmir 1", None)
@example(["kirkju"], "\u212airkju", None)
@example(["+354 581 2345"], "(581) 2345", None)
@example(["581 ---- 2345"], "call 581 ---- 2345 now", None)
@example(["+354 581 2345"], "5 (8) _-/-_ 12 ... 345", None)
def test_a_value_is_hidden_exactly_where_it_occurs(values: list[str], text: str, data: st.DataObject | None) -> None:
    if values and data is not None:
        # Somewhere in the text, in another spelling.
        blank = data.draw(st.sampled_from(["", "-", "  ", " - / - "]))
        text = f"{text} {data.draw(st.sampled_from(values)).swapcase().replace(' ', blank)}{text}"
    is_masked_alone = Mask().text(text) != text
    masked = Mask(values).text(text)
    if not holds(values, text):
        assert masked == (Mask().text(text) if is_masked_alone else text)
    else:
        assert MASK in masked
        # A letter replaces each mask, so that the neighbouring characters stay within a word.
        assert not holds(values, masked.replace(MASK, "x"))


def test_letters_of_one_folding_are_equal_letter_by_letter() -> None:
    text = "".join(chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000)
    assert folded(text) == "".join(chain.from_iterable(map(folded, text)))
    for group in ("i\u0131\u0130", "s\u017f", "k\u212a", "\u00b5\u03bc", "\u03c3\u03c2", "\u03b2\u03d0"):
        assert len({folded(letter) for letter in group}) == 1


#: Signs between the digits of a number, and beside it.
SIGNS = st.text(" .,:;()+/_-'\u00a0\u00b7\t\n", max_size=5)
BESIDE = st.text(" .,:;()/-_", min_size=1, max_size=2)
WORDS = st.sampled_from(["call", "2nd floor", "12 34 567 890 123 4567", "x5", "A1", "7th, 8", "", "+", "v2"])


@given(st.integers(2_000_000, 99_999_999), st.lists(SIGNS, min_size=8, max_size=8), BESIDE, BESIDE, WORDS, WORDS)
@example(5551234, [""] * 8, " ", " ", "call", "2nd floor")
@example(5551234, [""] * 8, " ", " ", "", "2024050607 0809")
def test_an_unknown_number_is_hidden_beside_any_text(
    number: int, signs: list[str], before: str, after: str, first: str, last: str
) -> None:
    """In records that do not name all recipients of their envelope."""
    digits = str(number)
    spelled = "".join(digit + sign for digit, sign in zip(digits[:-1], signs, strict=False)) + digits[-1]
    masked = Mask(any_number=True).text(f"{first}{before}{spelled}{after}{last}")
    assert digits not in re.sub(r"[\W_]", "", masked.replace(MASK, "x"))


@pytest.mark.parametrize(
    "text",
    ["++354 555 1234", "tel+3545551234", "+3545551234og", "+354 / 555 / 1234", "lease_120387-4459_final.pdf",
     "lease-120387-4459-final.pdf", "00354 5551234."],
)  # fmt: skip
def test_an_unknown_phone_or_id_is_hidden_among_letters_and_signs(text: str) -> None:
    assert not re.search(r"555.*1234|4459", Mask().text(text))


@pytest.mark.parametrize("any_number", [False, True])
@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call tel5551234 now", "call tel*** now"),
        ("GSM555-1234og", "GSM***og"),
        ("s\u00edmi5551234.", "s\u00edmi***."),
        ("kt120387-4459", "kt***"),
        ("recipientPhone5551234", "recipientPhone***"),
        ("mob5551234@sms.is", "mob***@sms.is"),
        ("hotel5551234", "hotel5551234"),
        ("invoice INV5551234, lease5551234.pdf", "invoice INV5551234, lease5551234.pdf"),
        ("Windows NT 10.0; Win64; x64 v20240501", "Windows NT 10.0; Win64; x64 v20240501"),
        ("sp2312345678d6f4caaa2e29ecac92d055b", "sp2312345678d6f4caaa2e29ecac92d055b"),
        ("e1234567890abcdef, sn1234567", "e1234567890abcdef, sn1234567"),
        ("tel12345, id1234567", "tel12345, id1234567"),
    ],
)
def test_a_number_after_a_word_is_hidden_if_the_word_names_it(text: str, masked: str, any_number: bool) -> None:
    mask = Mask(any_number=any_number)
    assert mask.text(text) == masked
    assert mask.is_clean([text], {"note": text}) == (text == masked)


def test_every_word_for_a_phone_or_an_id_is_recognized_before_a_number() -> None:
    """Also in the quick search by its last letters."""
    words = {*person_fields._PRIVATE_WORDS, *person_fields._PRIVATE_PARTS, "userssn", "heimasimi"} - {"zip"}
    for word in words:
        assert Mask().text(f"{word}5551234") == f"{word}***"
        assert not Mask().is_clean([f"{word}5551234"])


@pytest.mark.parametrize(
    "name",
    ["name", "firstName", "last_name", "fullname", "displayName", "email", "recipientEmail", "createdBy", "invitedBy",
     "owner", "userName", "signeeName", "author", "mailbox"],
)  # fmt: skip
def test_names_of_members_that_name_people(name: str) -> None:
    assert is_person_name(name)


@pytest.mark.parametrize(
    "name",
    ["fileName", "documentName", "flowName", "workspaceName", "activityDisplayName", "id", "status", "", "by", "1"],
)
def test_names_of_members_that_name_things(name: str) -> None:
    assert not is_person_name(name)


def test_people_in_texts_get_one_pseudonym_each() -> None:
    names = Pseudonyms("x" * 32)
    rename = PersonMask(["Anna Jonsdottir", "anna@example.com"], names).text
    anna, address = names.of("anna jonsdottir"), names.of("anna@example.com")
    assert rename("ANNA  JONSDOTTIR signed") == f"{anna} signed"
    assert rename("mail Anna@Example.com, x@y.example") == f"mail {address}, {names.of('x@y.example')}"
    assert rename("dear Anna") == f"dear {names.of('anna')}"
    assert rename("Annabel, hanna") == "Annabel, hanna"
    assert rename(rename(f"{anna} and Anna")) == rename(f"{anna} and Anna"), "a pseudonym is not replaced again"


def test_email_addresses_in_texts_get_a_pseudonym() -> None:
    names = Pseudonyms("x" * 32)
    rename = PersonMask(["Anna"], names).text
    long = "a" * 300 + "@example.com"
    assert rename(f"<{long}>, a.b+c@d.example.") == f"<{names.of(long)}>, {names.of('a.b+c@d.example')}."
    assert rename("Anna.b@x.example") == names.of("anna.b@x.example"), "one person"
    assert rename("to=anna%40x.example now") == "*** now", "percent-encoded"


@pytest.mark.parametrize("text", ["a", "a.", "a@", "a@a-", "a@b."])
def test_a_long_text_is_read_once(text: str) -> None:
    """A search from each of its letters would exceed the time limit of a test."""
    PersonMask(["Anna"], Pseudonyms("x" * 32)).text(text * 200_000)


def test_people_are_found_in_any_unicode_normalization() -> None:
    names = Pseudonyms("x" * 32)
    composed, apart = "J\u00f3n", "Jo\u0301n"
    for known in (composed, apart):
        rename = PersonMask([known], names).text
        assert rename(f"by {composed}, {apart}") == f"by {names.of(composed)}, {names.of(composed)}"
    assert rename(f"{apart}@x.example") == rename(f"{composed}@x.example")
    assert rename("cafe\u0301") == "cafe\u0301", "a text without people does not change"
