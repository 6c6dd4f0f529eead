"""No text of an event contains a signee key of Taktikal, which with the process key makes the signing link."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from functools import reduce
from html import unescape
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.privacy import links
from app.privacy.links import Secrets
from app.privacy.redaction import Redactor
from app.providers.subnoto.envelopes import decode_envelope
from app.providers.subnoto.record import number_ties
from app.providers.subnoto.wire import decode_page
from app.providers.taktikal.models import recipient_id
from app.providers.taktikal.record import TaktikalRecord, records_of
from tests.providers.taktikal.items import process_of

KEY, OTHER = "si5ac796820233722ed431f562fa2c41a5", "siOther0001"
LINK = f"https://app.example.is/s/sp1/{KEY}"
TEXTS = [KEY, f"Signee key: {KEY}.", f"/sp1/{KEY}.pdf", LINK, KEY.upper(), quote(LINK, safe=""), f"x{KEY}y", OTHER]


def record(entry: dict[str, Any] | None = None, **members: Any) -> TaktikalRecord:
    log = [{"id": 1, "status": "Created", "createdAt": "2026-05-01T00:00:00Z", "signeeKey": KEY, **(entry or {})}]
    sequence = [
        {"sequenceKey": KEY, "signeeKey": OTHER, "signingKeys": [{"signeeKey": "siThird02", "processKey": "sp2"}]}
    ]
    process = {"processKey": "sp1", "activityLog": log, "sequenceSignees": sequence, **members}
    return records_of("t", process_of(process))[0][0]


def rendered(found: TaktikalRecord, private: bool) -> str:
    event = Redactor(private=private, raw=True).event(found)
    return (msgspec.json.encode(event).decode() + str(list(found.texts()))).casefold()


def test_a_recipient_id_is_the_documented_digest() -> None:
    text = f"sp1\0{KEY}".encode()
    assert (
        recipient_id("sp1", KEY)
        == "rcp_" + hashlib.blake2b(text, digest_size=16, person=b"audit.recipient").hexdigest()
    )
    assert recipient_id("sp1", KEY) != recipient_id("sp2", KEY)


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_no_text_contains_a_signee_key(text: str, private: bool) -> None:
    for entry in (
        dict.fromkeys(("description", "userAgent", "fileName", "createdBy", "flowKey", "sequenceKey", "status"), text),
        {"note": [{"deep": text, text: 1}], "other": text},
        {"fileName": [text], "signatureLocation": {"at": [text]}},
    ):
        signees = [{"signeeKey": KEY, "name": text, "email": f"{text}@x.is", "note": text}]
        if "signatureLocation" in entry:
            signees.append({"signeeKey": "siFourth003", "phone": [text]})
        found = record(entry, fileName=text, activityDisplayName=text, signees=signees)
        shown = rendered(found, private)
        assert KEY not in shown
        assert OTHER.casefold() not in shown
        assert "sithird02" not in shown


def test_the_link_of_another_process_in_the_sequence_has_its_own_id() -> None:
    found = record({"description": "next: siThird02"}).event()
    assert found.description == f"next: {recipient_id('sp2', 'siThird02')}"


@pytest.mark.parametrize("private", [True, False])
def test_no_text_contains_a_key_of_another_process(private: bool) -> None:
    process, key = "sp" + "2b" * 16, "si" + "7d" * 16
    link = f"https://app.example.is/s/{process}/{key}"
    texts = [link, f"/{process}/{key}.pdf", link.upper(), quote(link, safe=""), f"Replaces {key}.", f"x{key}y"]
    for text in texts:
        entry = {"description": text, "userAgent": text, "fileName": text, "note": {"oldSigneeKey": key, text: [text]}}
        shown = rendered(record(entry, activityDisplayName=text, signees=[{"signeeKey": KEY, "name": text}]), private)
        assert key not in shown
        assert (recipient_id(process, key) in shown) == (process in text.casefold())
    unlisted = process_of(
        {"processKey": "sp1", "activityLog": [{"createdAt": "2026-05-01T00:00:00Z", "description": key}]}
    )
    assert records_of("t", unlisted)[0][0].event().description == "***"


@pytest.mark.parametrize("undocumented", [{}, {"more": LINK}])
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_no_text_of_subnoto_contains_a_key(undocumented: dict[str, Any], change: Callable[[str], str]) -> None:
    data = {"envelopeTitle": LINK, "note": json.dumps({"url": LINK}), change(KEY): [change(KEY)]}
    sent = {"eventType": "ENVELOPE_SENT", "eventData": data, "timestamp": 1777593600, "author": {"id": 1, "name": KEY}}
    page = decode_page(json.dumps({"logs": [sent | undocumented], "totalCount": 1}).encode())
    (found,) = number_ties("s", "envelope", [*enumerate(page.rows)])
    event = Redactor(private=True, raw=True).event(found)
    assert event.data["envelopeTitle"] == "https://app.example.is/s/sp1/***"
    assert KEY not in (msgspec.json.encode(event).decode() + str([*found.texts()])).casefold()
    joined = decode_envelope(json.dumps({"title": LINK, "owner": {"name": KEY}}).encode())
    assert KEY not in repr(joined)


def test_a_recipient_is_found_by_key_and_by_id() -> None:
    found = record()
    assert found.recipient_id(KEY.upper()) == recipient_id("sp1", KEY)
    assert found.recipient_id("si-unknown") == "si-unknown"


@pytest.mark.parametrize(("key", "phone"), [("5551234", "+354 555 1234"), ("0101302989", "+354 777 1234")])
def test_the_digest_of_a_phone_or_an_id_is_hidden(key: str, phone: str) -> None:
    """All possible values could be tried."""
    signees = [{"signeeKey": key, "phone": phone, "ssn": "010130-2989"}]
    found = record({"signeeKey": key, "description": f"for {key}"}, signees=signees, sequenceSignees=[])
    event = Redactor(private=False, raw=True).event(found)
    assert event.recipient is not None
    assert event.recipient.id == "***"
    assert event.description == "for ***"
    assert recipient_id("sp1", key) not in msgspec.json.encode(event).decode()


SPELLINGS: list[Callable[[str], str]] = [
    str, str.upper, "-".join, " \n".join, "\u200b".join, lambda key: quote(key, safe=""), lambda key: f"x{key}9",
    lambda key: "".join(f"%{ord(letter):02x}" for letter in key), lambda key: key[:9] + "\0" + key[9:],
    lambda key: "".join(f"&#{ord(letter)};" for letter in key), lambda key: quote(quote(key, safe=""), safe=""),
    lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key), lambda key: key.replace("s", "\u017f"),
    lambda key: key.translate({letter: letter + 0xFEE0 for letter in range(33, 127)}), lambda key: key[1:],
    lambda key: key.replace("i", "\u0130"), lambda key: key.replace("k", "\u212a"),
]  # fmt: skip
#: Spellings in which a reader recognizes the key.
LEGIBLE: list[Callable[[str], str]] = [
    *SPELLINGS[:14],
    lambda key: f"{key[:9]}<b>{key[9:]}</b>", lambda key: f"{key[:9]}</i><i class='x'>{key[9:]}",
    lambda key: f"{key[:9]}<!-- -->{key[9:]}", lambda key: "".join(f"\\x{ord(letter):02x}" for letter in key),
    lambda key: reduce(lambda text, _: quote(text, safe=""), range(6), LEGIBLE[7](key)),
    lambda key: json.dumps(json.dumps({"at": f"https://x.is/s/sp1/{key}"})).replace("/", "\\/"),
    lambda key: f"<a href='https%3A%2F%2Fx.is%2Fs%2F{key}'>", lambda key: "\u034f".join(key), "**".join, "\u00a0".join,
]  # fmt: skip


def read_letters(text: str) -> str:
    for _ in range(9):
        text = re.sub(r"\\+(?:u([0-9a-f]{4})|x([0-9a-f]{2}))", lambda one: chr(int(one[1] or one[2], 16)), text)
        text = unescape(unquote(text))
    # Tags, but not the links in them.
    found = text + re.sub(r"<[^>]*>", "", text)
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", found).casefold()))


@pytest.mark.parametrize("spell", LEGIBLE)
@pytest.mark.parametrize("key", [KEY, OTHER, "siThird02", "si" + "7d" * 16, "48211937"])
def test_no_legible_spelling_of_a_key_is_in_any_part(key: str, spell: Callable[[str], str]) -> None:
    text = spell(key)
    signees = [{"signeeKey": one, "name": text, "signatureType": text} for one in (KEY, "48211937")]
    note = {"deep": [text], text: {"x": text}, "numbers": [48211937, {"signeeKey": 48211937}]}
    for status in (f"SMS:{text[:200]}", "Created"):
        texts = dict.fromkeys(
            ("description", "userAgent", "fileName", "createdBy", "flowKey", "sequenceKey", "id"), text
        )
        found = record({**texts, "status": status, "note": note}, fileName=text, signees=signees, extra={text: text})
        shown = read_letters(rendered(found, private=True))
        assert read_letters(key) not in shown
        assert "48211937" not in shown


WORDS = st.sampled_from(["Þóra á Ísafirði", "Signee key: ", "rcp_", "a/b", "100%", "&amp;", "\\", "ﬃ", "-", "", " "])
KEYS = st.sampled_from([KEY, "siOther0001", "si-third-0002", "sikkk", "siÞórður12345", "k i", "si", "0101302989"])
LINKS = st.sampled_from(
    [LINK, "https://sign.example.is/s/", "http://x.is/-/-/-/-/-/-/-", "https://þ.is/siskis", "//s/%6B"]
)


@given(st.sets(KEYS, max_size=3), st.sets(LINKS, max_size=2), st.data())
def test_the_quick_search_changes_no_result(keys: set[str], links: set[str], data: st.DataObject) -> None:
    quick, all_spellings = (
        Secrets(sorted(links), {key: recipient_id("sp1", key) for key in sorted(keys)}) for _ in "ab"
    )
    all_spellings._probes, all_spellings.shortest = {b""}, 0
    planted = st.builds(lambda spell, word: spell(word), st.sampled_from(SPELLINGS), KEYS | LINKS)
    text = "".join(data.draw(st.lists(WORDS | planted, max_size=4)))
    assert quick.text(text) == all_spellings.text(text)


@pytest.mark.parametrize("key", ["abcDEF123xyz", "12345678901234567890", "u-7f3a-99"])
@pytest.mark.parametrize(
    "text",
    ["Signee signed. Signee key: {key}", "{{'signeeKey': '{key}'}}, and more words", "https://x.is/s/{process}/{key}",
     "see X.IS/s/{process}/{key}?lang=is", "/{process}/{key}.pdf", "https%3A%2F%2Fx.is%2Fs%2F{process}%2F{key}"],
)  # fmt: skip
def test_an_unlisted_key_of_another_form_is_found_by_its_context(text: str, key: str) -> None:
    process = "sp" + "ab12" * 8
    sent = text.format(key=key, process=process)
    found = record({"description": sent, "more": sent}, processKey=process)
    assert key.casefold() not in rendered(found, private=True)
    if "/s/" in sent:
        assert recipient_id(process, key) in rendered(found, private=True)


@pytest.mark.parametrize("signee", ["{key}", "{key}. Delivery method : Sms", "'{key}' (signee)"])
def test_documented_descriptions_need_no_search_of_all_spellings(monkeypatch: pytest.MonkeyPatch, signee: str) -> None:
    """The search once took 7,000 more calls for 1,000 events."""
    monkeypatch.setattr(links, "rewritten", lambda text, spans: pytest.fail(f"searched {text!r}"))
    process = "sp" + "ab12" * 8
    sent = f"Signup sent. Processkey: {process}. Signee: " + signee.format(key=KEY)
    found = record({"description": sent, "signeeKey": KEY}, processKey=process)
    assert KEY not in rendered(found, private=True)
