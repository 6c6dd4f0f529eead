"""Settings of a Taktikal source. Authentication: HTTP Basic, `companyKey:ApiKey` (vendor's page, "Authentication")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from app.providers.settings import SourceSettings, header_safe, iso_duration, without_colon

#: Names of the last release -> current names.
RENAMED = {"TAKTIKAL_RANGE_SELECTS": "TAKTIKAL_DATE_RANGE_MODE", "TAKTIKAL_LOGS": "TAKTIKAL_LOG_MODE"}


class TaktikalSettings(SourceSettings):
    base_url: str = Field("https://core.taktikal.com/api", description="default https://core.taktikal.com/api")
    company_key: SecretStr = Field(
        description="company key of the API credentials; with TAKTIKAL_API_KEY it adds a source"
    )
    api_key: SecretStr = Field(description="the API key of the credentials")
    date_range_mode: Literal["auto", "activity", "creation", "last_update"] = Field(
        "auto",
        description="what StartDate and EndDate select: auto (detected, default), activity, creation or last_update",
    )
    log_mode: Literal["auto", "whole", "trimmed"] = Field(
        "auto", description="whether logs are whole or trimmed to the range: auto (detected, default), whole or trimmed"
    )
    max_envelope_age: timedelta = Field(
        timedelta(days=120),
        description="where ranges do not select by activity, for more than 1,000 envelopes: how long after its"
        " creation an envelope may still have events; default P120D",
    )

    _keys_fit_headers = field_validator("company_key", "api_key")(header_safe)
    _ends_at_the_colon = field_validator("company_key")(without_colon)

    @field_validator("max_envelope_age", mode="wrap")
    @classmethod
    def _is_a_duration(cls, value: Any, parse: Callable[[Any], timedelta]) -> timedelta:
        return iso_duration(value, parse, "P120D")

    @field_validator("max_envelope_age")
    @classmethod
    def _is_bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= value <= timedelta(days=3660):
            raise ValueError("must be from PT1M to P3660D")
        return value
