"""Workflows of the emulated team's envelopes and the content of its records, derived from the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from sandbox.identifiers import Identifiers, mix, mix_text
from sandbox.people import DOCUMENT_KINDS, FIRST_NAMES, LAST_NAMES, USER_AGENTS

from .event_types import event_types

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
NIL_UUID = "00000000-0000-0000-0000-000000000000"
SYSTEM = {"id": 0, "uuid": NIL_UUID, "email": "", "name": "System"}
WORKSPACES = 2
USERS = 5
TEAM_PLANS = 30  # single events; among 256 plans this makes about 2 % of all records
_BY_THE_SYSTEM = ("ENVELOPE_COMPLETED", "ENVELOPE_APPROVAL_PHASE_COMPLETED", "OAUTH_TOKEN_REUSE_DETECTED")


@dataclass(frozen=True, slots=True)
class Step:
    """One record of a workflow: offset in milliseconds from the start, type, and recipient (-1: none)."""

    offset: int
    event_type: str
    recipient: int = -1


@dataclass(frozen=True, slots=True)
class Workflow:
    """The plan of an envelope, or of a single team event."""

    category: str
    recipients: int
    steps: tuple[Step, ...]


@cache
def make_workflows(seed: int, newer_types: bool) -> tuple[Workflow, ...]:
    """Return 256 plans: envelopes that complete (most), are declined, cancelled or stay open; and team events."""
    random = Random(f"subnoto lives {seed}")
    team_types = event_types("team", newer_types)
    workflows = [Workflow("team", 0, (Step(0, team_types[n % len(team_types)]),)) for n in range(TEAM_PLANS)]
    workflows += [_envelope_workflow(random, newer_types) for _ in range(256 - TEAM_PLANS)]
    random.shuffle(workflows)
    return tuple(workflows)


def _envelope_workflow(random: Random, newer_types: bool) -> Workflow:
    recipients = random.choice((1, 1, 2, 2, 3))
    at = 0
    steps = [Step(0, "ENVELOPE_CREATED")]
    if newer_types and random.random() < 0.12:
        at += random.randrange(2 * MINUTE, 5 * HOUR)
        steps += [Step(at, "ENVELOPE_APPROVED"), Step(at, "ENVELOPE_APPROVAL_PHASE_COMPLETED")]
    at += random.randrange(20 * SECOND, 40 * MINUTE)
    steps.append(Step(at, "ENVELOPE_SENT"))
    fate = random.random()
    ends_with = recipients if fate < 0.82 else random.randrange(recipients)
    for recipient in range(ends_with):
        at = _sign(random, at, recipient, steps)
    if fate < 0.82:
        # Often the service completes the envelope in the same millisecond as the last signature.
        at += random.choice((0, 40, 350, 2 * SECOND))
        steps.append(Step(at, "ENVELOPE_COMPLETED"))
    elif fate < 0.89:
        at += random.randrange(10 * MINUTE, 2 * DAY)
        steps.append(Step(at, "ENVELOPE_OPENED", ends_with))
        steps.append(Step(at + 3 * MINUTE, "ENVELOPE_DECLINED", ends_with))
    elif fate < 0.96:
        steps.append(Step(at + random.randrange(HOUR, 3 * DAY), "ENVELOPE_CANCELED"))
    return Workflow("envelope", recipients, tuple(steps))


def _sign(random: Random, at: int, recipient: int, steps: list[Step]) -> int:
    at += random.choice((2 * MINUTE, 20 * MINUTE, 3 * HOUR, DAY, 2 * DAY)) * random.randrange(50, 110) // 100
    for _ in range(random.choice((1, 1, 1, 2))):
        steps.append(Step(at, "ENVELOPE_OPENED", recipient))
        at += random.randrange(15 * SECOND, 30 * MINUTE)
    if random.random() < 0.5:
        steps.append(Step(at, "RECIPIENT_VERIFIED", recipient))
        at += random.randrange(5 * SECOND, 2 * MINUTE)
    steps.append(Step(at, "DOCUMENT_SIGNED", recipient))
    return at


class Account:
    """The people, workspaces and envelopes of one team. `number` is an envelope's (or team event's)."""

    def __init__(self, seed: int, newer_types: bool, team_name: str) -> None:
        self.workflows = make_workflows(seed, newer_types)
        self.envelopes = Identifiers(seed, "envelope")
        self.workspaces = [Identifiers(seed, "workspace").uuid(n) for n in range(WORKSPACES)]
        self._documents = Identifiers(seed, "document")
        self._salt = mix_text(seed, "account")
        user_ids = Identifiers(seed, "user")
        self.users = [
            {
                "id": 101 + 7 * n,
                "uuid": user_ids.uuid(n),
                "email": f"{FIRST_NAMES[3 * n].lower()}@team.example.com",
                "name": f"{FIRST_NAMES[3 * n]} {LAST_NAMES[n]}",
            }
            for n in range(USERS)
        ]
        self.team = {
            "teamUuid": Identifiers(seed, "team").uuid(0),
            "teamName": team_name,
            "ownerEmail": self.users[0]["email"],
            "ownerUuid": self.users[0]["uuid"],
        }

    def workspace(self, number: int) -> str:
        """Return an envelope's workspace; the second contains a quarter of them."""
        return self.workspaces[1 if mix(self._salt + number) & 3 == 0 else 0]

    def author(self, number: int, step: Step) -> dict[str, Any]:
        """Return the author: a user who creates, sends or cancels; the system for recipients and the service."""
        if step.recipient >= 0 or step.event_type in _BY_THE_SYSTEM:
            return SYSTEM
        return self.users[mix(self._salt ^ number) % USERS]

    def event_data(self, number: int, workflow: Workflow, step: Step) -> dict[str, Any]:
        """Return an object that varies by type: nested objects, lists, numbers, booleans, nulls."""
        if workflow.category == "team":
            return self._team_data(number, step.event_type)
        title = f"{_pick(DOCUMENT_KINDS, self._salt + number)} {1000 + number}"
        recipients = [self._recipient(number, n) for n in range(workflow.recipients)]
        documents = [
            {
                "uuid": self._documents.uuid(4 * number + n),
                "title": f"{title}.pdf",
                "pages": 2 + (number + n) % 9,
            }
            for n in range(1 + number % 2)
        ]
        if step.event_type == "ENVELOPE_CREATED":
            return {"envelopeTitle": title, "documents": documents, "source": "api" if number % 3 else "web"}
        if step.event_type == "ENVELOPE_SENT":
            expiry = {"days": 30, "reminders": [3, 7, 14]} if number % 2 else None
            return {
                "envelopeTitle": title,
                "recipients": recipients,
                "expiry": expiry,
                "sequential": number % 4 == 0,
            }
        if step.event_type == "ENVELOPE_COMPLETED":
            return {
                "envelopeTitle": title,
                "documents": documents,
                "signatures": workflow.recipients,
                "sizeMb": 0.25,
            }
        if step.event_type == "ENVELOPE_CANCELED":
            return {"envelopeTitle": title, "reason": "Replaced by a newer version — «v2»"}
        if step.recipient < 0:
            return {"envelopeTitle": title, "phase": 1}
        return self._recipient_data(number, step, recipients[step.recipient], documents)

    def _recipient_data(
        self, number: int, step: Step, recipient: dict[str, Any], documents: list[dict[str, Any]]
    ) -> dict[str, Any]:
        data: dict[str, Any] = {"recipient": recipient}
        if step.event_type == "ENVELOPE_OPENED":
            data["client"] = {"ip": f"192.0.2.{1 + number % 250}", "userAgent": _pick(USER_AGENTS, number)}
        elif step.event_type == "RECIPIENT_VERIFIED":
            data["verification"] = {"method": "sms", "phone": f"+3535550{number % 1000:03d}", "attempts": 1}
        elif step.event_type == "DOCUMENT_SIGNED":
            data["documentUuid"] = documents[0]["uuid"]
            data["signatureLevel"] = "simple" if number % 3 else "advanced"
        else:
            data["reason"] = "The amount is wrong."
        return data

    def _recipient(self, number: int, position: int) -> dict[str, Any]:
        drawn = mix(self._salt ^ (8 * number + position))
        first, last = _pick(FIRST_NAMES, drawn), _pick(LAST_NAMES, drawn >> 16)
        return {
            "email": f"{first}.{last}{drawn % 100}@example.com".lower(),
            "name": f"{first} {last}",
            "role": "signer" if position == 0 or drawn & 7 else "approver",
        }

    def _team_data(self, number: int, event_type: str) -> dict[str, Any]:
        drawn = mix(self._salt ^ number)
        person = self._recipient(number, 0)
        if event_type.startswith(("MEMBER", "INVITE")):
            role = _pick(("admin", "member", "viewer"), drawn)
            return {"member": {"email": person["email"], "name": person["name"]}, "role": role}
        if event_type.startswith("API_KEY"):
            return {"keyName": f"Integration {number % 40}", "permissions": ["Read Team", "Read Envelope"]}
        if event_type.startswith("WEBHOOK"):
            return {
                "url": f"https://hooks.example.com/{number % 17}",
                "events": ["ENVELOPE_COMPLETED"],
                "active": True,
            }
        if event_type.startswith("SSO"):
            return {"domain": "team.example.com", "provider": "saml", "enforced": bool(number & 1)}
        if event_type.startswith(("OAUTH", "AGENT")):
            return {"client": {"name": f"Agent {number % 9}", "trusted": False}, "scopes": ["envelopes:read"]}
        return {"changes": {"locale": ["en", "fr"][number % 2], "retentionDays": 365, "logo": None}}


def _pick(items: Sequence[str], number: int) -> str:
    return items[number % len(items)]
