"""Signing links are detected by the names of their members, and removed wherever they are repeated."""

import json
from collections.abc import Callable
from html import escape, unescape
from typing import Any
from urllib.parse import quote, unquote

import pytest

from app.domain.event import Record
from app.privacy.json_values import distinct
from app.privacy.links import Secrets, has_links, without_links
from app.privacy.redaction import Redactor
from app.providers.subnoto.record import number_ties
from app.providers.subnoto.wire import decode_page
from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import decode_activity

LINK = "https://sign.example/s/SECRET"


@pytest.mark.parametrize(
    "name",
    ["signingUrl", "signUrl", "signing_link", "SigningURLs", "recipientUrl", "recipientSigningUrl", "signeeLink",
     "signeeUrl", "signer_href", "signingLink2", "signatureUri", "documentSigningUrl", "attachmentUrl", "invitationUrl",
     "inviteLinks", "magicLink", "accessLink"],
)  # fmt: skip
def test_names_of_personal_links(name: str) -> None:
    assert has_links({"deep": [{name: LINK}]})
    links: list[str] = []
    assert without_links({"deep": [{name: LINK, "other": 1}]}, links=links) == {"deep": [{"other": 1}]}
    assert links == [LINK]


@pytest.mark.parametrize(
    "name",
    ["url", "redirectUrl", "companyUrl", "webhookUrl", "callback_uri", "singleSignOnUrl", "signOutUrl", "loginUrl",
     "curl", "linked", "signed", "signingUrlExpiresAt", "signatureType"],
)  # fmt: skip
def test_names_of_public_links(name: str) -> None:
    assert without_links({"webhook": {name: LINK}}) == {"webhook": {name: LINK}}


def test_every_link_of_a_person_or_file_is_personal() -> None:
    sent = {"recipient": {"id": 1, "portalUrl": LINK, "deep": [{"href": "x"}]}, "invitation": {"url": LINK}}
    assert without_links(sent) == {"recipient": {"id": 1, "deep": [{}]}, "invitation": {}}
    assert without_links({"party": {"link": LINK}, "parties": [{"url": LINK}]}) == {"party": {}, "parties": [{}]}
    assert without_links({"mainParticipant": {"href": LINK}}) == {"mainParticipant": {}}


def test_only_links_of_removed_members_are_searched_elsewhere() -> None:
    sent = {"signingUrl": ["none", f"see {LINK}.", "and/or", {"expires": 5, "mail": LINK + "/2"}]}
    links: list[str] = []
    assert without_links(sent, links=links) == {}
    assert sorted(links) == [LINK, LINK + "/2"]


def test_a_link_is_removed_from_texts_and_names() -> None:
    links = Secrets([LINK, LINK + "?more", ""])
    assert links.value({LINK: [f"at {LINK}?more, {LINK}", 5], "***": None}) == {
        "***": ["at ***, ***", 5],
        "*** 2": None,
    }
    assert not Secrets([""])
    assert Secrets([]).text("as it was") == "as it was"


@pytest.mark.parametrize(
    "repeated",
    [LINK, LINK.upper(), LINK.removeprefix("https:"), LINK.removeprefix("https://"), "SIGN.EXAMPLE/s/SECRET",
     f"({LINK})", f"x{LINK}y", quote(LINK), quote(LINK, safe=""), quote(quote(LINK, safe=""), safe=""),
     quote(LINK, safe="").lower(), LINK.replace("/", "&#x2F;"), LINK.replace("/", r"\/"), LINK.replace("s", "\uff53"),
     "\u200b".join(LINK), f"https://other.example/?to={quote(LINK, safe='')}", LINK.replace("://", ":/\u00ad/"),
     LINK.replace("/", r"\u002f"), quote(quote(quote(LINK, safe=""), safe=""), safe=""), LINK.replace("/", " / "),
     LINK.replace("https", "http"), LINK.replace(".", "[.]"), f"{LINK[:20]}\n{LINK[20:]}"],
)  # fmt: skip
def test_a_link_is_removed_in_every_spelling(repeated: str) -> None:
    assert "secret" not in unquote(unquote(unescape(Secrets([LINK]).text(f"see {repeated} now")))).lower()


@pytest.mark.parametrize(
    "repeated", ["{}", "{}?utm=1", "{}#top", "see {}.", "%2Fopen%2Fs3cret-of-anna", "open/s3cret-of-anna"]
)
@pytest.mark.parametrize("encode", [str, lambda link: quote(link, safe=""), escape, str.upper])
def test_a_link_is_removed_without_its_query(repeated: str, encode: Callable[[str], str]) -> None:
    link = "https://sign.example/open/s3cret-of-anna"
    sent = {"signingUrl": encode(f"{link}?campaign=1&lang=is"), "note": repeated.format(link)}
    for private in (True, False):
        event = Redactor(private=private).event(subnoto(sent))
        assert "s3cret" not in unquote(str(event.data)).lower()


def test_many_links_are_searched_in_one_pass() -> None:
    links = Secrets(f"https://sign.example/{number:07}" for number in range(30_000))
    assert links.value(["https://sign.example/x"] * 30_000) == ["https://sign.example/x"] * 30_000
    assert links.text("see https://sign.example/0029999") == "see ***"
    assert links.text(" ".join(f"https://sign.example/{number:07}" for number in range(600))) == "***", (
        "the whole text, if it may contain many"
    )


def test_equal_masked_names_are_numbered() -> None:
    assert distinct(["a", "***", "***", "*** 2", "***"]) == ["a", "***", "*** 2", "*** 2 2", "*** 3"]
    assert len(set(distinct(["***"] * 100_000))) == 100_000


def subnoto(data: Any) -> Record:
    logs = [
        {
            "category": "envelope", "eventType": "DOCUMENT_SIGNED", "timestamp": 1712011501234, "eventData": data,
            "author": {"uuid": "u", "name": f"Anna {LINK}", "email": "anna@example.com"}, "envelopeUuid": "e",
        }
    ]  # fmt: skip
    page = decode_page(json.dumps({"logs": logs, "totalCount": 1}).encode())
    return number_ties("s", "envelope", [(0, page.rows[0])], lambda _: True)[0]


def taktikal(**members: Any) -> Record:
    entry = {"id": 1, "status": "Created", "createdAt": "2026-05-01T00:00:00.0000000Z", "signeeKey": "s"}
    process = {"processKey": "sp1", **members, "activityLog": [entry | members.get("activityLog", {})]}
    return records_of("t", decode_activity(json.dumps([process]).encode()).processes[0])[0][0]


REPEATED = {
    "envelopeTitle": f"at {LINK}", "userAgent": LINK, "recipientName": f"Jon {LINK}", "list": [{f"to {LINK}": LINK}],
    "recipient": {"signingUrl": LINK},
}  # fmt: skip
SIGNEES: dict[str, Any] = {"sequenceSignees": [{"sequenceKey": "q", "signeeKey": "s", "url": LINK}]}
TAKTIKAL: list[dict[str, Any]] = [
    {"activityLog": {name: f"see {LINK} a@b.is"} | others} | SIGNEES
    for name in ("createdBy", "userAgent", "description", "fileName")
    for others in ({}, {"more": 1})
]


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize(
    "record",
    [
        subnoto(REPEATED),
        *(taktikal(**members) for members in TAKTIKAL),
        taktikal(activityDisplayName=f"at {LINK}", **SIGNEES),
        taktikal(signees=[{"signeeKey": "s", "name": LINK, "email": LINK, "phone": LINK, "ssn": LINK}], **SIGNEES),
        taktikal(activityLog={"signeeUrl": LINK, "signingLink2": LINK, "description": f"at {LINK}"}),
        taktikal(signees=[{"signeeKey": "s", "signeeLink": LINK, "note": LINK}], fileName=LINK),
        taktikal(attachmentReferences=[{"downloadUrl": LINK}], fileName=LINK),
    ],
)
def test_no_part_of_an_event_contains_a_signing_link(record: Record, private: bool) -> None:
    assert "SECRET" not in str(Redactor(private=private, raw=True).event(record))
    assert "SECRET" not in str(record.event()) or record.event().provider == "subnoto"
    assert not any("SECRET" in text for _, text in record.texts()), "nor can it be searched for"


def test_a_public_link_stays() -> None:
    data = {"url": LINK, "redirectUrl": LINK, "envelopeTitle": f"at {LINK}"}
    event = Redactor(private=True, raw=False).event(subnoto(data))
    assert event.data == data
    assert event.envelope is not None
    assert event.envelope.name == f"at {LINK}"
