"""The shape and content of every event, for any provider (contract, section 2)."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from app.domain.query import Query
from app.domain.times import parse_rfc3339
from app.privacy.links import ALL_LINKS, without_links
from app.privacy.redaction import Redactor
from tests.contract.account import Account, leaves, read

TYPE = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\Z")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
MEMBERS = [
    *("id", "source", "provider", "type", "category", "outcome", "provider_type", "provider_id", "occurred_at"),
    *("description", "actor", "envelope", "recipient", "delivery", "target", "user_agent", "data", "raw"),
]


class EventContract:
    async def test_each_event_has_the_documented_shape_and_agrees_with_its_record(self, account: Account) -> None:
        async with account.source() as source:
            rows = account.provider.mapping
            assert account.provider.mapping_version
            assert all(TYPE.match(row.type) for row in rows)
            assert len({(row.provider_type, row.category) for row in rows}) == len(rows)
            known = {(row.type, row.category) for row in rows} | {("unknown", row.category) for row in rows}
            records = await read(source, Query(order="asc"), account.since, account.until)
            assert any(True for record in records for _ in record.texts())
            for record in records:
                delivered = msgspec.json.encode(record.raw())
                event = record.event()
                assert msgspec.json.encode(record.raw()) == delivered, "`event` changes the raw record"
                shown = json.loads(msgspec.json.encode(event))
                assert list(shown) == MEMBERS
                assert (
                    (event.source, event.provider)
                    == (source.name, account.provider.name)
                    == (source.name, source.provider)
                )
                assert event.type == "unknown" or TYPE.match(event.type)
                assert (event.outcome is None) == (event.type == "unknown")
                assert event.outcome in ("success", "failure", None)
                assert TIME.match(event.occurred_at)
                assert event.actor.kind in ("user", "recipient", "system")
                assert event.raw is None, "`raw` is added only with include=raw"
                assert isinstance(event.data, dict)
                for part in (event.actor, event.recipient, event.target):
                    assert part is None or "@" in (part.email or "@"), "an e-mail address is none"
                assert re.fullmatch(r"[A-Za-z0-9_-]+", event.id)
                assert record.event() is event or record.event() == event
                time, name, category, envelope, sequence, place = record.key
                assert time == parse_rfc3339(event.occurred_at)
                assert (name, category) == (event.source, event.category)
                assert envelope == (event.envelope.id if event.envelope else "")
                assert isinstance(sequence, int)
                assert isinstance(place, int)
                assert (record.type, record.provider_type) == (event.type, event.provider_type)
                assert (record.type, event.category) in known, "the type is not in the shipped mapping"
                raw = msgspec.json.encode(record.raw())
                assert raw not in (b"null", b"{}")
                assert b"/secret/" not in raw + msgspec.json.encode(event), "the event contains a signing link"
                assert all(isinstance(name, str) and isinstance(text, str) for name, text in record.texts())
                assert all(isinstance(value, str) and value for value in record.private_values())

    async def test_person_values_contain_all_names_and_addresses(self, account: Account) -> None:
        """Pseudonyms replace the values of `person_values`."""
        seen = set()
        async with account.source() as source:
            for record in await read(source, Query(order="asc"), account.since, account.until):
                event = record.event()
                people = {event.envelope.owner} if event.envelope else set()
                for part in (None if event.actor.kind == "system" else event.actor, event.recipient):
                    people |= {part.name, part.email} if part else set()
                if event.target and event.target.kind in ("member", "invitation"):
                    people |= {event.target.name, event.target.email}
                people -= {None, ""}
                assert people <= set(record.person_values())
                seen |= people
        assert seen, "the emulator must have persons"

    async def test_phones_and_national_ids_are_private(self, account: Account) -> None:
        seen = set()
        records = await account.read_with(members={"phone": "+3545550199"})
        for record in records:
            recipient = record.event().recipient
            private = {recipient.phone, recipient.national_id} - {None, ""} if recipient else set()
            assert private <= set(record.private_values())
            seen |= private
        assert seen, "the emulator must have a recipient with a phone"

    async def test_no_sent_member_is_dropped(self, account: Account) -> None:
        """`raw` contains every member except links; `data` and `raw` contain an undocumented member."""
        bodies: list[Any] = []
        records = await account.read_with(members={"contractNote": NOTE}, bodies=bodies)
        raws = [record.raw() for record in records]
        assert all(("contractNote", NOTE) in set(leaves(raw)) for raw in raws)
        assert any(("contractNote", NOTE) in set(leaves(record.event().data)) for record in records)
        sent = {name for body in bodies for name in _names(body, False)}
        assert sent - {name for raw in raws for name in _names(raw, True)} == set()

    async def test_signing_links_are_removed_everywhere(self, account: Account) -> None:
        """Links are in no event, and in no text that `q` searches."""
        link = "https://sign.example/secret/contract"
        records = await account.read_with(members={"signingUrl": link, "note": "/secret/contract"})
        assert records
        for record in records:
            shown = Redactor(private=True, raw=True).event(record)
            assert b"/secret/contract" not in msgspec.json.encode(shown)
            assert not any("/secret/" in text for _, text in record.texts())


NOTE = "a note of the contract suite"


def _names(value: Any, inside: bool) -> Iterator[str]:
    """Yield the names of strings and numbers of the objects within lists (`inside`: of all objects). Objects with a
    link, such as files, are left out."""
    if isinstance(value, list):
        for item in value:
            yield from _names(item, True)
    elif isinstance(value, dict):
        kept = without_links(value, ALL_LINKS)
        for name, item in kept.items():
            if inside and len(kept) == len(value) and not isinstance(item, dict | list):
                yield name
            yield from _names(value[name], inside)
