"""Which parts of an account a query touches, and what is never sent."""

import json
from typing import Any

import pytest

from app.domain.query import Query
from app.providers.base import CallBudget, CommonSettings, ReadRequest
from app.providers.subnoto import PROVIDER
from app.providers.subnoto.source import SubnotoSource
from app.providers.subnoto.wire import decode_page

UUID = "99999999-9999-4999-8999-999999999999"


def source(**settings: Any) -> SubnotoSource:
    found = PROVIDER.from_table("s", {"access_key": "a", "secret_key": "b", **settings}, CommonSettings())
    assert isinstance(found, SubnotoSource)
    return found


@pytest.mark.parametrize(
    ("query", "streams"),
    [
        ({}, ["envelope", "team"]), ({"category": ("team",)}, ["team"]), ({"category": ("user",)}, []),
        ({"envelope_id": (UUID,)}, [f"envelope/{UUID}"]), ({"envelope_id": ("no uuid",)}, []),
        ({"envelope_id": (UUID, "x")}, [f"envelope/{UUID}"]),
        ({"envelope_id": ("AAAAAAAA" + UUID[8:], "aaaaaaaa" + UUID[8:])}, ["envelope/aaaaaaaa" + UUID[8:]]),
        ({"workspace_id": UUID}, ["envelope"]), ({"workspace_id": "x"}, []),
        ({"category": ("team",), "workspace_id": UUID}, []), ({"category": ("team",), "envelope_id": (UUID,)}, []),
        ({"type": ("notification.*",)}, []), ({"type": ("recipient.*",)}, ["envelope"]),
        ({"type": ("team.*", "envelope.sent")}, ["envelope", "team"]), ({"type": ("unknown",)}, ["envelope", "team"]),
        ({"provider_type": ("DOCUMENT_SIGNED",)}, ["envelope"]), ({"provider_type": ("TEAM_CREATED",)}, ["team"]),
        ({"provider_type": ("BRAND_NEW",)}, ["envelope", "team"]),
        ({"provider_type": ("DOCUMENT_SIGNED",), "type": ("team.*",)}, []),
    ],
    ids=str,
)  # fmt: skip
def test_streams(query: dict[str, Any], streams: list[str]) -> None:
    assert list(source().streams(Query(**query))) == streams


def test_categories_are_those_of_the_settings() -> None:
    assert list(source(categories=["team"]).streams(Query())) == ["team"]
    assert list(source(categories="team, dataroom").streams(Query())) == ["team", "dataroom"]


def event_types(found: SubnotoSource, **query: Any) -> list[str]:
    asked = Query(**query)
    sent: set[str] = set()
    for stream in found.streams(asked):
        reader = found.reader(stream, ReadRequest(asked, 0, 1, (1,)), CallBudget())
        assert reader._walk.query.category == stream.partition("/")[0]
        sent |= set(reader._walk.query.event_types)
    return sorted(sent)


def test_event_types_are_sent_where_every_server_takes_them() -> None:
    assert event_types(source(), type=("recipient.*",)) == ["DOCUMENT_SIGNED", "RECIPIENT_VERIFIED"]
    assert event_types(source(), provider_type=("TEAM_CREATED", "DOCUMENT_SIGNED")) == [
        "DOCUMENT_SIGNED",
        "TEAM_CREATED",
    ]
    assert event_types(source()) == []


def test_newer_event_types_are_sent_only_once_the_account_showed_them() -> None:
    found = source()
    assert event_types(found, type=("envelope.approved",)) == []
    assert event_types(found, type=("unknown",)) == []
    assert event_types(found, provider_type=("BRAND_NEW",)) == []
    shown = {"logs": [{"eventType": "ENVELOPE_APPROVED", "timestamp": 1_780_000_000}], "totalCount": 1}
    found._observations.learn("envelope", [decode_page(json.dumps(shown).encode())])
    assert event_types(found, type=("envelope.approved",)) == ["ENVELOPE_APPROVED"]
    found._observations.refuse(["ENVELOPE_APPROVED"], is_known=True)
    assert event_types(found, type=("envelope.approved",)) == []
