"""A provider of a later time: its account holds types, categories, kinds and statuses that no document names today.

It is Acme's account (`tests/e2e/acme`, which is copied beside it) in other words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from app.providers.acme import PROVIDER as ACME
from app.providers.acme import AcmeReader, AcmeRecord, AcmeSource

from app.domain.event import Actor, Delivery, Envelope, Event
from app.providers.base import CallBudget, CommonSettings, ReadRequest, TypeMapping


class LaterRecord(AcmeRecord):
    """What Acme calls sealed is of a new type; what it calls opened is mapped to nothing yet."""

    @property
    def type(self) -> str:
        return "vault.sealed" if self.provider_type == "SEALED" else "unknown"

    def event(self) -> Event:
        return msgspec.structs.replace(
            super().event(),
            provider="later",
            type=self.type,
            category="vault",
            outcome="pending",
            actor=Actor("robot", name=self.who),
            envelope=Envelope(self.envelope, status="entombed"),
            delivery=Delivery("pigeon", "circling", "reassurance"),
        )


class LaterReader(AcmeReader):
    def __init__(self, source: str, span: ReadRequest, spent: CallBudget) -> None:
        super().__init__(source, span, spent)
        self.rest = [
            LaterRecord(source, (one.number, one.time, one.provider_type, one.envelope, one.who)) for one in self.rest
        ]


class LaterSource(AcmeSource):
    provider = "later"

    def reader(self, stream: str, span: ReadRequest, spent: CallBudget) -> LaterReader:
        return LaterReader(self.name, span, spent)


def _from_environment(env: Mapping[str, str], common: CommonSettings) -> LaterSource | None:
    return LaterSource("later", env["LATER_TOKEN"], common) if "LATER_TOKEN" in env else None


def _from_table(name: str, table: Mapping[str, Any], common: CommonSettings) -> LaterSource:
    return LaterSource(name, table["token"], common)


PROVIDER = msgspec.structs.replace(
    ACME,
    name="later",
    title="Later",
    mapping=(TypeMapping("SEALED", "vault.sealed", "vault"),),
    variables={"LATER_TOKEN": "makes a source named later"},
    from_environment=_from_environment,
    from_table=_from_table,
)
