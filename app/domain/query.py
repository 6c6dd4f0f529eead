"""What a caller asks for, after validation and free of HTTP."""

from __future__ import annotations

from typing import Literal

import msgspec

Order = Literal["asc", "desc"]


class Query(msgspec.Struct, frozen=True, omit_defaults=True):
    """The filters of contract section 3. Absent is None or an empty tuple; a tuple's members are OR, fields are AND.

    Tuples are sorted and free of doubles, so that equal questions are equal values (cursor match, totals cache).
    """

    source: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    provider_type: tuple[str, ...] = ()
    envelope_id: tuple[str, ...] = ()
    workspace_id: str | None = None
    flow_id: str | None = None
    flow_type: str | None = None
    envelope_status: str | None = None
    owner: str | None = None
    actor: str | None = None
    recipient: str | None = None
    q: str | None = None
    order: Order = "desc"
    follow: bool = False

    @property
    def ascending(self) -> bool:
        return self.order == "asc"


class Window(msgspec.Struct, frozen=True):
    """Microseconds since the epoch; `since` inclusive, `until` exclusive (None only while following)."""

    since: int
    until: int | None


#: Filters whose values the gateway itself can judge on any event; a provider may do it too.
GATEWAY_FILTERS = ("type", "provider_type", "actor", "recipient", "q")

#: Filters that only a provider can judge: one without the notion excludes its sources.
PROVIDER_FILTERS = ("workspace_id", "flow_id", "flow_type", "envelope_status", "owner")

#: All filters that a provider may have no notion of.
FILTERS = ("category", "envelope_id", *PROVIDER_FILTERS, *GATEWAY_FILTERS)
