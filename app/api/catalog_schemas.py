"""The shapes of the catalog's and monitoring's responses: types, sources, the caller's grants, health."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from app.api.schemas import Schema


class TypeMapping(Schema):
    """One value of a provider that becomes this type."""

    provider: str = Field(description="The vendor.")
    provider_type: str = Field(description="The vendor's own value.")
    category: str = Field(description="The part of an account that it occurs in.", examples=["envelope", "team"])


class EventType(Schema):
    """One type, and where it comes from."""

    type: str = Field(description="The type, as events carry it.")
    mappings: list[TypeMapping] = Field(description="The providers' values that become it.")


class ProviderInfo(Schema):
    """A vendor that the gateway can read."""

    name: str = Field(description="As in `provider`.")
    title: str = Field(description="As the vendor writes it.")
    mapping_version: str = Field(description="Changes whenever this provider's mapping does.", examples=["1"])


class EventTypes(Schema):
    """All types that there are. The list is open: more may come."""

    data: list[EventType] = Field(description="The types, sorted.")
    providers: list[ProviderInfo] = Field(description="The vendors, and the version of each one's mapping.")


class SourceHealth(Schema):
    """How the calls to a source fare, as this process of the gateway sees it."""

    circuit: str = Field(
        description="`closed` (it is asked), `open` (it failed and is left alone) or `half_open` (one call at a time).",
        examples=["closed", "open", "half_open"],
    )
    since: datetime = Field(description="Since when the circuit is in this state.")
    consecutive_failures: int = Field(description="Calls that failed, since the last that did not.")
    retry_at: datetime | None = Field(description="While the circuit is open: when the source is asked again.")
    paused_until: datetime | None = Field(description="Until when the provider asked to be left alone.")
    in_flight: int = Field(description="Calls under way.")
    waiting: int = Field(description="Calls that wait for their turn.")


class SourceInfo(Schema):
    """One configured account."""

    name: str = Field(description="Its name, as in the parameter `source`.")
    provider: str = Field(description="Its vendor.")
    filters: dict[str, str] = Field(
        description=(
            "Who judges each parameter: `native` (the provider), `gateway`, or `not_applicable` (this source"
            " is left out of an answer that filters by it)."
        ),
        examples=[{"since": "native", "type": "gateway", "workspace_id": "not_applicable"}],
    )
    settle: float = Field(description="Seconds for which young events are held back from followers.")
    health: SourceHealth | None = Field(description="How its calls fare; null for a source that makes none.")
    details: dict[str, Any] = Field(description="Settings in force, and what was learnt of the account.")


class Sources(Schema):
    """The sources that the caller may read."""

    data: list[SourceInfo] = Field(description="The sources, sorted by name.")


class Me(Schema):
    """The caller and its grants."""

    name: str = Field(description="The key's name, or a token's subject.", examples=["reporting"])
    kind: str = Field(description="How the caller is known.", examples=["key", "token", "none"])
    scopes: list[str] = Field(description="What it may do.", examples=[["events:read", "pii:read"]])
    sources: list[str] = Field(description="The configured sources that it may read.")
    rate: str | None = Field(description="How often it may call; null without a limit.", examples=["600/minute"])
    expires: datetime | None = Field(description="Until when it is valid; null without an end.")


class Health(Schema):
    """The state of this process."""

    status: str = Field(description="`ok`.", examples=["ok"])
