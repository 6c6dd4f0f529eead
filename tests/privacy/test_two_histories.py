"""Two records that differ only in hidden values give a caller the same event and match the same filters, in every field
and spelling."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import reduce
from itertools import product
from typing import Any, ClassVar, cast
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.domain.caller import Caller
from app.domain.event import Record
from app.domain.query import Query
from app.feed.visibility import filter_for
from app.privacy.masking import MAX_TEXTS, Mask
from app.privacy.redaction import Redactor
from app.privacy.replacer import MASK
from app.privacy.spelling import decoded
from app.providers.base import Source
from app.providers.subnoto.record import number_ties
from app.providers.taktikal.record import records_of
from tests.providers.rows import row_of
from tests.providers.taktikal.items import process_of

#: Spellings of the seven digits of a national phone number.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda digits: digits,
    "dash": lambda digits: f"{digits[:3]}-{digits[3:]}",
    "non-breaking hyphen": lambda digits: f"{digits[:3]}\u2011{digits[3:]}",
    "blank": lambda digits: f"{digits[:3]}\u00a0{digits[3:]}",
    "underscore": lambda digits: f"{digits[:3]}_{digits[3:]}",
    "brackets": lambda digits: f"({digits[:3]}) {digits[3:]}",
    "apart": lambda digits: " ".join(digits),
    "negative": lambda digits: f"-{digits}",
    "float": lambda digits: f"{digits}.0",
    "with country": lambda digits: f"+354 {digits}",
    "with 00": lambda digits: f"00354{digits}",
    "address": lambda digits: f"{digits}@sms.is",
    "wide": lambda digits: "".join(chr(ord(digit) + 0xFEE0) for digit in digits),
    "Arabic": lambda digits: "".join(chr(0x660 + int(digit)) for digit in digits),
    "invisible": lambda digits: "\u200b".join(digits),
    "Hangul fillers": lambda digits: "\u3164".join(digits),
    "tags": lambda digits: "\U000e0041".join(digits),
    "after a word": lambda digits: f"tel{digits}",
    "after another word": lambda digits: f"GSM{digits[:3]}-{digits[3:]}og",
    "tab in JSON": lambda digits: json.dumps(f"{digits[:3]}\t{digits[3:]}"),
    "line in JSON": lambda digits: json.dumps(f"call:\r\n{digits}"),
    "braces": lambda digits: "".join(f"\\u{{{ord(digit):x}}}" for digit in digits),
    "Chinese": lambda digits: f"电话{digits}号",
    "version": lambda digits: f"app/{digits}.0",
    "path": lambda digits: f"https://x.is/call/{digits[:3]}.{digits[3:]}.pdf",
    "path with underscore": lambda digits: f"https://x.is/call/{digits[:3]}_{digits[3:]}?again",
    "percent": lambda digits: quote(f"+354 {digits}", safe=""),
    "HTML": lambda digits: f"{digits[:3]}&nbsp;{digits[3:]}",
    "JSON": lambda digits: json.dumps({"n": [digits]}),
    "markup": lambda digits: f"{digits[:3]}<b class='x'>{digits[3:]}</b>",
    "JavaScript": lambda digits: "".join(f"\\x{ord(digit):02x}" for digit in digits),
    "five times": lambda digits: reduce(
        lambda text, _: quote(text, safe=""), range(5), f"%{ord(digits[0]):x}{digits[1:]}"
    ),
}


def subnoto(data: Any, **members: Any) -> Record:
    body = {"eventType": "DOCUMENT_SIGNED", "eventData": data, "envelopeUuid": "e", "workspaceUuid": "w"} | members
    return number_ties("s", "envelope", [(0, row_of(body, 5, False))], lambda _: True)[0]


def taktikal(entry: dict[str, Any], phone: str, key: str = "si1", **members: Any) -> Record:
    log = [{"id": 1, "status": "Created", "createdAt": "2026-05-01T00:00:00Z", "signeeKey": key} | entry]
    signees = [{"signeeKey": key, "name": "Anna", "phone": phone}]
    return records_of("t", process_of({"processKey": "sp1", "activityLog": log, "signees": signees} | members))[0][0]


#: Records by the field of the hidden value; the arguments are its spelling and the phone.
PLACES: dict[str, Callable[[str, str], Record]] = {
    "text": lambda text, _: subnoto({"note": f"call {text} now"}),
    "whole text": lambda text, _: subnoto([text]),
    "name of a member": lambda text, _: subnoto({"votes": {text: "yes"}}),
    "title": lambda text, _: subnoto({"envelopeTitle": f"Lease {text}.pdf"}),
    "user agent": lambda text, _: subnoto({"userAgent": f"App {text}"}),
    "recipient": lambda text, _: subnoto({"recipient": {"id": text, "name": text, "email": text}}),
    "member": lambda text, _: subnoto({"member": {"id": text, "name": text}}, eventType="MEMBER_JOINED"),
    "author": lambda text, _: subnoto({}, author={"id": text, "name": f"A {text}", "email": f"{text}@x.is"}),
    "workspace": lambda text, _: subnoto({}, workspaceUuid=text),
    "change": lambda text, _: subnoto({"changes": [{"field": "phone", "old": text, "new": None}]}),
    "changed item": lambda text, _: taktikal(
        {"changes": {"changed": "gsm", "old": text, "new": [text]}}, "+3545550000"
    ),
    "changed key": lambda text, _: subnoto({"key": "mobileNumber", "from": text, "to": [text]}),
    "numbers": lambda _, phone: subnoto({"a": int(phone[4:]), "b": -float(phone[4:]), "c": [int(phone[1:])]}),
    "known": lambda text, phone: subnoto({"recipientPhone": phone, "note": f"x{text}y", "recipientId": text}),
    "description": lambda text, phone: taktikal({"description": f"to:{text}."}, phone),
    "other members": lambda text, phone: taktikal({"more": {"deep": [text], text: 1}, "fileName": text}, phone),
    "author's address": lambda text, phone: taktikal({"createdBy": f"{text}@sms.is", "userAgent": text}, phone),
    "keys": lambda text, phone: taktikal({"sequenceKey": text, "flowKey": text, "id": text}, phone, text),
    "status": lambda text, phone: taktikal({"status": f"SMS {text}:failed"}, phone, activityDisplayName=text),
    "named": lambda text, _: taktikal({"description": f"New phone : {text}"}, "+3545550000"),
    "JSON in a text": lambda text, phone: taktikal(
        {
            "description": "changed "
            + json.dumps([{"a": 1}, {"contact": {"mobile_no": [text], "address": f"Elm {phone[-4:]}"}}]),
            "more": json.dumps(json.dumps({"field": "homeAddress", "old": f"Ash {phone[-4:]}"})),
            "userAgent": f"at Elm {phone[-4:]}, Ash {phone[-4:]}",
        },
        "+3545550000",
    ),
    "address known": lambda text, phone: taktikal(
        {"description": f"{text} at ELM  {phone[-4:]}", "homeAddress": f"Elm {phone[-4:]}"}, phone
    ),
}


class Anything:
    filters: ClassVar = {"q": "native"}


def views(record: Record, values: list[str]) -> Iterator[object]:
    event = Redactor(private=False, raw=True).event(record)
    event.id = ""  # a digest of the whole record (contract, section 2)
    yield msgspec.json.encode(event)
    caller = Caller("c", frozenset({"events:read"}))
    for name, value in product(("q", "recipient", "actor", "person", "owner"), values):
        with suppress(ValidationError):  # an invalid filter
            yield name, value, filter_for(Query(**{name: value}), cast(Source, Anything()), caller, None)(record)


@pytest.mark.parametrize("place", PLACES)
@settings(deadline=None, max_examples=20)
@given(st.data())
def test_no_event_or_filter_depends_on_a_hidden_value(place: str, data: st.DataObject) -> None:
    spelled = SPELLINGS[data.draw(st.sampled_from(sorted(SPELLINGS)))]
    phones = [f"+354{data.draw(st.integers(2_000_000, 9_999_999))}" for _ in "ab"]
    guesses = [guess for phone in phones for guess in (phone, phone[4:], phone[-4:], spelled(phone[4:]))]
    guesses += [f"{guess}@sms.is" for guess in guesses] + ["***", "***@sms.is"]
    one, other = (views(PLACES[place](spelled(phone[4:]), phone), guesses) for phone in phones)
    assert list(one) == list(other)


def test_texts_beyond_the_bound_of_a_record_are_hidden_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 texts of 1 MB in an envelope of 50 people."""
    read: list[int] = []
    search = Mask._spans
    monkeypatch.setattr(Mask, "_spans", lambda mask, plain: read.append(len(plain)) or search(mask, plain))  # type: ignore[func-returns-value]
    people = [{"signeeKey": f"si{number}", "phone": f"+354{5550000 + number}"} for number in range(50)]
    texts = {f"text{number}": f"{number} 555 0007 " * 70_000 for number in range(20)}
    log = [{"id": 1, "status": "Created", "createdAt": "2026-05-01T00:00:00Z", "description": texts["text1"], **texts}]
    record = records_of("t", process_of({"processKey": "sp1", "activityLog": log, "signees": people}))[0][0]
    event = Redactor(private=False, raw=True).event(record)
    assert event.description == "***"
    assert set(event.data.values()) == {"***"}
    assert sum(read) < MAX_TEXTS


@pytest.mark.parametrize(
    "text",
    [
        "id (120<b>387-4459</b>)", "id 120<!-- x -->387-4459", "".join(f"%{byte:02x}" for byte in b"a\n208/1203874\nb"),
        json.dumps("\U0001d7d3" * 7), json.dumps(json.dumps("a\n" + "\U0001d7d3" * 7)),
    ],
)  # fmt: skip
def test_a_partly_encoded_number_is_hidden_completely(text: str) -> None:
    shown = Mask(any_number=True).text(text)
    assert MASK in shown
    assert not any(map(str.isdigit, decoded(shown))), shown


@pytest.mark.parametrize("separator", [" ", ", ", ""])
def test_masks_of_adjacent_numbers_do_not_depend_on_their_digits(separator: str) -> None:
    """Of +354 555 1234, the last digit of one and the other together contain `45551234`."""
    shown = {Mask([f"+354{n}"]).text(f"to {n}{separator}{n}.") for n in ("5551234", "5551239")}
    assert shown == {f"to {MASK}{separator}{MASK}." if separator else f"to {MASK}."}


@pytest.mark.parametrize("number", [3545551234, 13545551234 - 10**10, -3545551234.0, 475551234])
def test_a_known_number_with_a_country_s_code_is_hidden_as_a_number(number: float) -> None:
    assert Mask(["555 1234"]).values({"n": number, "at": 5551234000}) == [{"n": MASK, "at": 5551234000}]
