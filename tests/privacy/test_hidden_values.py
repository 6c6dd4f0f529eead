"""Two histories that differ only in values hidden from a caller give that caller the same responses."""

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest

from app.api.exports import FORMATS
from sandbox.taktikal.records import Process
from tests.api.conftest import ALL, opened
from tests.api.gateways import app_over
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world, window

#: The hidden values of two histories: phone, national id, address.
ONE = ("+3548691177", "1203874459", "Hraunbraut 77")
OTHER = ("+3545550199", "0101302989", "Laugavegur 12")

CHANCE = ("x-request-id", "content-length", "content-disposition", "etag", "server-timing")


def plant(world: World, hidden: tuple[str, str, str]) -> None:
    phone, national_id, address = hidden
    now, local = world.clock(), phone[4:]
    text = f"sent to {local} at {address} ({national_id})"
    for number in range(3):
        signee = {"signeeKey": f"si000{number}", "name": "Anna", "email": f"{local}@sms.is", "phone": phone,
                  "ssn": national_id, "address": address}  # fmt: skip
        key = f"sphidden{number}"
        world.taktikal.history.add_process(
            Process(key=key, started_by="owner@example.is", file_name=f"lease {local}.pdf", signees=(signee,))
        )
        # Unreadable: counted by `reason` for every caller or for none.
        world.taktikal.history.append(key, "Created", at=72_000_000_000_000_000, description=text)
        for step, status in enumerate(("Created", "SignupSent", "SigneeSigned")):
            at = now - timedelta(hours=3 + number, minutes=-step)
            world.taktikal.history.append(
                key, status, at=at, description=text, created_by=f"{local}@sms.is", signeeKey=signee["signeeKey"]
            )
        changed_phone = {"field": "phone", "old": local}
        data = {"recipientPhone": phone, "recipientAddress": address, "note": text, "change": changed_phone}
        at = now - timedelta(hours=1 + number)
        world.subnoto.history.append("ENVELOPE_OPENED", category="envelope", event_data=data, timestamp=at)
        world.subnoto.history.append(f"SENT_{local}", category="team", event_data={}, timestamp=at)
        later = {"note": f"again {' -- '.join(local)}, 2nd floor", "amount": float(local)}
        world.subnoto.history.append("DOCUMENT_SIGNED", category="envelope", event_data=later, timestamp=at)


def requests(period: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Return requests with every filter, by the hidden values of both histories, by parts and other spellings of
    them."""
    values = [piece for hidden in (ONE, OTHER) for value in hidden for piece in (value, value[-4:])]
    for phone, *_ in (ONE, OTHER):
        values += [phone[4:], f"{phone[4:]}@sms.is"]
    values += ["***@sms.is", "Anna", "lease"]
    found: list[tuple[str, dict[str, Any]]] = []
    for kind in (f"SENT_{ONE[0][4:]}", f"SENT_{OTHER[0][4:]}", "SENT_***"):
        found += [("/events", {name: kind, "limit": 9, **period}) for name in ("provider_type", "provider_type.not")]
        found.append(("/events/count", {"provider_type": kind, **period}))
    for value in values:
        for name in ("q", "recipient", "actor", "person", "owner", "actor.not"):
            found.append(("/events", {name: value, "limit": 2, **period}))
        found += [("/events/count", {name: value, "by": "actor", **period}) for name in ("q", "person", "recipient")]
    export = {"include": "raw", "unreadable": "skip", **period}
    found += [("/events/export", {"format": form, **export}) for form in FORMATS]
    filtered = zip(values, itertools.cycle(itertools.product(FORMATS, ("q", "person", "recipient", "actor"))))
    found += [("/events/export", {"format": form, name: value, **export}) for value, (form, name) in filtered]
    found += [(f"/envelopes/sphidden{number}{part}", {}) for number in range(3) for part in ("", "/report")]
    found += [("/sources", {}), ("/events", {"follow": "true", "order": "asc", "since": period["since"], "limit": 9})]
    return [*found, ("/events", {"limit": 1000, "include": "raw", **period}), ("/events/count", period)]


async def responses(world: World, period: dict[str, str], key: str, pseudonymize: bool) -> list[str]:
    """Return each response with the number of calls to the providers, without times; then the metrics. A caller with
    all scopes or pseudonyms sends every third request. Ids and cursors are replaced by numbers, because an id is a
    digest of the whole record (contract, section 2)."""
    seen: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return seen.setdefault(match[0], f"#{len(seen)}")

    found = []
    settings = {"scan": 5, "totals_ttl": 0, "pseudonymize": pseudonymize, "identity_secret": "hidden-values-" * 3}
    async with opened(app_over(world, **settings), key) as client:
        for path, params in requests(period)[:: 3 if key == ALL or pseudonymize else 1]:
            world.taktikal.calls.reset()
            world.subnoto.calls.reset()
            response = await client.get(path, params=params)
            assert response.status_code == (403 if pseudonymize and "owner" in params else 200), response.text
            headers = {name: value for name, value in response.headers.items() if name not in CHANCE}
            text = re.sub(r"[A-Za-z0-9_-]{40,}", numbered, response.text + str(headers))
            text = re.sub(r'"(as_of|complete_through|request_id|since|at)":"[^"]*"', "", text)
            if path.endswith("/report"):  # it contains the current time
                text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+", "", text)
            calls = world.taktikal.calls.total, world.subnoto.calls.total
            found.append(f"{path} {params} {calls} {text}")
        metrics = (await client.get("/metrics")).text.splitlines()
    return [
        *found,
        *(line for line in metrics if line.startswith("gateway_") and not re.search("seconds|created", line)),
    ]


@pytest.mark.parametrize(("key", "pseudonymize"), [("plain", False), ("plain", True), (ALL, False)])
async def test_no_response_depends_on_hidden_values(key: str, pseudonymize: bool) -> None:
    texts = []
    for hidden in (ONE, OTHER):
        with served_world(TaktikalOptions(events=0), SubnotoOptions(events=0)) as world:
            plant(world, hidden)
            texts.append(await responses(world, window(world, 61), key, pseudonymize))
    if key == ALL:
        assert sum(first != second for first, second in zip(*texts, strict=True)) > 12, "the histories do differ"
        return
    assert len(texts[0]) > (50 if pseudonymize else 150)
    for first, second in zip(*texts, strict=True):
        assert first == second
