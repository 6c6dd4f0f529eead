"""Two histories that differ only in what a caller may not see give that caller the same answers to everything."""

import itertools
import re
from datetime import timedelta
from typing import Any

import pytest

from app.api.exports import FORMATS
from sandbox.taktikal.records import Process
from tests.api.conftest import ALL, opened
from tests.api.gateways import app_over, window
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world

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
        # Unreadable: a reason may count it, for any caller or for none.
        world.taktikal.history.append(key, "Created", at=72_000_000_000_000_000, description=text)
        for step, status in enumerate(("Created", "SignupSent", "SigneeSigned")):
            at = now - timedelta(hours=3 + number, minutes=-step)
            world.taktikal.history.append(
                key, status, at=at, description=text, created_by=f"{local}@sms.is", signeeKey=signee["signeeKey"]
            )
        change = {"field": "phone", "old": local}
        data = {"recipientPhone": phone, "recipientAddress": address, "note": text, "change": change}
        at = now - timedelta(hours=1 + number)
        world.subnoto.history.append("ENVELOPE_OPENED", category="envelope", event_data=data, timestamp=at)
        world.subnoto.history.append(f"SENT_{local}", category="team", event_data={}, timestamp=at)
        later = {"note": f"again {' -- '.join(local)}, 2nd floor", "amount": float(local)}
        world.subnoto.history.append("DOCUMENT_SIGNED", category="envelope", event_data=later, timestamp=at)


def requests(within: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """Every filter on every hidden value of either history, whole, in part and in another spelling."""
    values = [piece for hidden in (ONE, OTHER) for value in hidden for piece in (value, value[-4:])]
    for phone, *_ in (ONE, OTHER):
        values += [phone[4:], f"{phone[4:]}@sms.is"]
    values += ["***@sms.is", "Anna", "lease"]
    found: list[tuple[str, dict[str, Any]]] = []
    for kind in (f"SENT_{ONE[0][4:]}", f"SENT_{OTHER[0][4:]}", "SENT_***"):
        found += [("/events", {name: kind, "limit": 9, **within}) for name in ("provider_type", "provider_type.not")]
        found.append(("/events/count", {"provider_type": kind, **within}))
    for value in values:
        for name in ("q", "recipient", "actor", "person", "owner", "actor.not"):
            found.append(("/events", {name: value, "limit": 2, **within}))
        found += [("/events/count", {name: value, "by": "actor", **within}) for name in ("q", "person", "recipient")]
    export = {"include": "raw", "unreadable": "skip", **within}
    found += [("/events/export", {"format": form, **export}) for form in FORMATS]
    filtered = zip(values, itertools.cycle(itertools.product(FORMATS, ("q", "person", "recipient", "actor"))))
    found += [("/events/export", {"format": form, name: value, **export}) for value, (form, name) in filtered]
    found += [(f"/envelopes/sphidden{number}{part}", {}) for number in range(3) for part in ("", "/report")]
    found += [("/sources", {}), ("/events", {"follow": "true", "order": "asc", "since": within["since"], "limit": 9})]
    return [*found, ("/events", {"limit": 1000, "include": "raw", **within}), ("/events/count", within)]


async def answers(world: World, within: dict[str, str], key: str, pseudonymize: bool) -> list[str]:
    """Each answer, or every third for a caller who sees all or pseudonyms, with its status, its size in calls to both
    providers, and without times; then the metrics. Ids and cursors stand by their order of appearance: an id is a
    digest of the whole record (contract, section 2)."""
    seen: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return seen.setdefault(match[0], f"#{len(seen)}")

    found = []
    settings = {"scan": 5, "totals_ttl": 0, "pseudonymize": pseudonymize, "identity_secret": "hidden-values-" * 3}
    async with opened(app_over(world, **settings), key) as client:
        for path, params in requests(within)[:: 3 if key == ALL or pseudonymize else 1]:
            world.taktikal.calls.reset()
            world.subnoto.calls.reset()
            answer = await client.get(path, params=params)
            assert answer.status_code == (403 if pseudonymize and "owner" in params else 200), answer.text
            headers = {name: value for name, value in answer.headers.items() if name not in CHANCE}
            text = re.sub(r"[A-Za-z0-9_-]{40,}", numbered, answer.text + str(headers))
            text = re.sub(r'"(as_of|complete_through|request_id|since|at)":"[^"]*"', "", text)
            if path.endswith("/report"):  # of now
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
    both = []
    for hidden in (ONE, OTHER):
        with served_world(TaktikalOptions(events=0), SubnotoOptions(events=0)) as world:
            plant(world, hidden)
            both.append(await answers(world, window(world), key, pseudonymize))
    if key == ALL:
        assert sum(one != other for one, other in zip(*both, strict=True)) > 12, "the histories do differ"
        return
    assert len(both[0]) > (50 if pseudonymize else 150)
    for one, other in zip(*both, strict=True):
        assert one == other
