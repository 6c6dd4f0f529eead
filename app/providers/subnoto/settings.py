"""Settings of a Subnoto source.

`proxy` is the Encryption Proxy that the customer runs: plain HTTP, `Authorization: Bearer ACCESS:SECRET`. The enclave
itself takes no plain JSON (vendor's page on API security).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from app.providers.settings import SourceSettings, header_safe

#: Vendor's reference page: `envelope` and `team`; the newer API lists `user` and `dataroom`, which may not answer yet.
CATEGORIES = ("envelope", "team", "user", "dataroom")

VARIABLES = {
    "base_url": "SUBNOTO_BASE_URL",
    "access_key": "SUBNOTO_ACCESS_KEY",
    "secret_key": "SUBNOTO_SECRET_KEY",
    "transport": "SUBNOTO_TRANSPORT",
    "categories": "SUBNOTO_CATEGORIES",
    "skew": "SUBNOTO_SKEW",
    "concurrency": "SUBNOTO_CONCURRENCY",
    "rate": "SUBNOTO_RATE",
}

HELP = {
    "SUBNOTO_ACCESS_KEY": "access key of a team API key (Settings > API keys); adds a source",
    "SUBNOTO_SECRET_KEY": "the secret that belongs to it",
    "SUBNOTO_BASE_URL": "where the Encryption Proxy listens; default http://localhost:8080",
    "SUBNOTO_TRANSPORT": "proxy (default)",
    "SUBNOTO_CATEGORIES": "log categories to read, comma-separated; default envelope,team",
    "SUBNOTO_SKEW": "seconds by which timestamps may run back against insertion; default 120",
    "SUBNOTO_CONCURRENCY": "calls at a time; default GATEWAY_SOURCE_CONCURRENCY",
    "SUBNOTO_RATE": "calls a second; default GATEWAY_SOURCE_RATE",
}


class SubnotoSettings(SourceSettings):
    base_url: str = "http://localhost:8080"
    access_key: SecretStr
    secret_key: SecretStr
    transport: Literal["proxy"] = "proxy"
    categories: tuple[str, ...] = ("envelope", "team")
    skew: float = 120.0

    _keys_fit_headers = field_validator("access_key", "secret_key")(header_safe)

    @field_validator("transport", mode="before")
    @classmethod
    def _is_built(cls, value: object) -> object:
        if value == "tunnel":
            raise ValueError("tunnel is not built yet; run the vendor's Encryption Proxy and set proxy")
        return value

    @field_validator("categories", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("categories")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(category not in CATEGORIES for category in value):
            raise ValueError(f"must be one or more of {', '.join(CATEGORIES)}, separated by commas")
        return tuple(dict.fromkeys(value))

    @field_validator("skew")
    @classmethod
    def _bounded(cls, value: float) -> float:
        if not 0 <= value <= 86_400:
            raise ValueError("must be from 0 to 86400 seconds")
        return value

    @model_validator(mode="after")
    def _access_key_has_no_colon(self) -> Self:
        if ":" in self.access_key.get_secret_value():
            raise ValueError("access_key must not contain a colon: it separates the key from its secret")
        return self

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Self | None:
        """None unless both keys are set. Raises ConfigurationError naming the variable."""
        values = {field: env[name] for field, name in VARIABLES.items() if env.get(name)}
        if "access_key" not in values and "secret_key" not in values:
            return None
        return cls.read(values, VARIABLES)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """From a table of the TOML file. Raises ConfigurationError naming the key."""
        return cls.read(table, {name: name for name in cls.model_fields})
