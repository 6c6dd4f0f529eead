"""The filterable properties of each event of a world, computed from the emulators' histories as contract section 3
defines them, without the gateway's code."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests import vocabulary
from tests.contract.account import leaves
from tests.worlds import World

_PHONE_LIKE = re.compile(r"phone|ssn", re.IGNORECASE)


@dataclass(frozen=True)
class Fact:
    """One event. `texts`: the texts that `q` searches; `seen`: those for callers without `pii:read`."""

    order: tuple[Any, ...]
    row: tuple[Any, ...]
    source: str
    category: str
    envelope: str
    provider_type: str
    type: str
    actor: str
    recipients: tuple[str, ...]
    texts: tuple[str, ...]
    seen: tuple[str, ...]
    workspace: str | None = None
    flow_id: str | None = None
    flow_type: str | None = None
    status: str | None = None
    owner: str | None = None
    actor_name: str = ""  #: also of a system
    addresses: tuple[str, ...] = ()  #: of recipient and target
    names: tuple[str, ...] = ()  #: of actor, recipient and target

    def concerns(self, person: str) -> bool:
        wanted = person.lower()
        addresses = (*self.addresses, self.actor, self.owner or "")
        return wanted in map(str.lower, addresses) or any(wanted in name.lower() for name in self.names)

    @property
    def time(self) -> int:
        return int(self.order[0])

    def holds(self, text: str, *, pii: bool = True) -> bool:
        return any(text.lower() in one.lower() for one in (self.texts if pii else self.seen))

    def _is_of(self, pattern: str) -> bool:
        return self.type.startswith(pattern[:-1]) if pattern.endswith("*") else self.type == pattern

    def matches(self, given: Mapping[str, str | list[str]], *, pii: bool = True) -> bool:
        """Return whether a query with these filters returns the event. Other parameters are ignored."""
        tests: dict[str, Callable[[str], bool]] = {
            "type": self._is_of, "provider_type": lambda value: self.provider_type == value,
            "category": lambda value: self.category == value, "source": lambda value: self.source == value,
            "provider": lambda value: self.source == value, "envelope_id": lambda value: self.envelope == value,
            "workspace_id": lambda value: self.workspace == value, "flow_id": lambda value: self.flow_id == value,
            "flow_type": lambda value: self.flow_type == value, "envelope_status": lambda value: self.status == value,
            "owner": lambda value: self.owner == value, "actor": lambda value: self.actor.lower() == value.lower(),
            "recipient": lambda value: value.lower() in map(str.lower, self.recipients), "person": self.concerns,
            "q": lambda value: self.holds(value, pii=pii),
        }  # fmt: skip
        return all(
            any(map(tests[parameter], [values] if isinstance(values, str) else values)) != bool(negated)
            for name, values in given.items()
            for parameter, _, negated in [name.partition(".")]
            if parameter in tests
        )


def facts(one: World) -> list[Fact]:
    """Return all events that exist now, in ascending order of contract section 4."""
    return sorted([*_taktikal(one), *_subnoto(one)], key=lambda fact: fact.order)


def rows(found: list[Fact], since: int, until: int, keep: Callable[[Fact], bool]) -> list[tuple[Any, ...]]:
    """Return the rows of the events of [since, until) that pass `keep`, ascending."""
    return [fact.row for fact in found if since <= fact.time < until and keep(fact)]


def _taktikal(one: World) -> Iterator[Fact]:
    if one.taktikal is None:
        return
    history = one.taktikal.history
    for place, entry in enumerate(history.truth()):
        key, time = entry["processKey"], entry["ticks"] // 10
        (log,) = (one for one in history.logs(key) if one.key == key)
        signees = {signee["signeeKey"]: signee for signee in history.process(log).signees}
        signee = signees.get(entry.get("signeeKey") or "", {})
        ids = [entry.get("signeeKey") or "", signee.get("email") or ""]
        seen = [key, entry["processFileName"], *(s.get(n) or "" for s in signees.values() for n in ("name", "email"))]
        private = [s.get(n) or "" for s in signees.values() for n in ("phone", "ssn")]
        number = -1 if entry["id"] is None else entry["id"]
        author = entry["createdBy"]
        # Contract, section 2: the entry's own signee, or the only one who has the author's address.
        same = [s for s in signees.values() if "@" in author and s.get("email") == author]
        acting = signee if signee in same else same[0] if len(same) == 1 else {}
        yield Fact(
            order=(time, "taktikal", "envelope", key, number, place),
            row=(time, "taktikal", "envelope", key, entry["status"], entry["id"]),
            source="taktikal",
            category="envelope",
            envelope=key,
            provider_type=entry["status"],
            type=vocabulary.TAKTIKAL[entry["status"]],
            actor=entry["createdBy"] if "@" in entry["createdBy"] else "",
            recipients=tuple(text.lower() for text in ids if text),
            texts=(*seen, *private),
            seen=tuple(seen),
            flow_id=entry["flowKey"],
            flow_type=entry["flowType"],
            status=entry["processStatus"].lower(),
            owner=entry["owner"],
            actor_name=author if "@" not in author else acting.get("name") or "",
            addresses=(signee.get("email") or "",),
            names=(signee.get("name") or "", acting.get("name") or "", "" if "@" in author else author),
        )


def _subnoto(one: World) -> Iterator[Fact]:
    if one.subnoto is None:
        return
    for record in one.subnoto.history.truth():
        data, author, envelope = record["eventData"], record["author"], record["envelopeUuid"] or ""
        person = data.get("recipient") or {}
        target = (data.get("member") or {}) if record["category"] == "team" else {}
        strings = list(_strings("", data))
        people = [envelope, author["name"], author["email"]]
        private = {text for name, text in strings if _PHONE_LIKE.search(name)}
        yield Fact(
            order=(record["timestamp"] * 1000, "subnoto", record["category"], envelope, record["sequence"]),
            row=(
                record["timestamp"] * 1000, "subnoto", record["category"], envelope, record["eventType"],
                json.dumps(data, sort_keys=True),
            ),
            source="subnoto",
            category=record["category"],
            envelope=envelope,
            provider_type=record["eventType"],
            type=vocabulary.SUBNOTO[record["category"]].get(record["eventType"], "unknown"),
            actor=author["email"],
            recipients=tuple(str(person[name]).lower() for name in ("email", "id", "uuid") if person.get(name)),
            texts=(*people, *(text for _, text in strings)),
            seen=(*people, *(text for _, text in strings if text not in private)),
            workspace=record["workspaceUuid"],
            actor_name=author["name"],
            addresses=(person.get("email") or "", target.get("email") or ""),
            names=(person.get("name") or "", target.get("name") or "", author["name"]),
        )  # fmt: skip


def _strings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    return ((key, text) for key, text in leaves(value, name) if isinstance(text, str))
