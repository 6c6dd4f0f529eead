"""What the providers' settings have in common: reading them, and saying which one is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.domain.errors import ConfigurationError
from app.providers.base import CommonSettings, Provider, Source, TypeMapping

_LIMITS = ("concurrency", "rate")


class SourceSettings(BaseModel):
    """Settings of one source. Unknown keys are errors; values of the wrong kind name the variable, never the value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str
    # None: the gateway's own setting.
    #: Seconds that `follow` holds events back.
    settle: float | None = Field(default=None, ge=0, le=86_400, allow_inf_nan=False)
    concurrency: int | None = Field(
        None, ge=1, le=1000, description="calls at a time; default GATEWAY_SOURCE_CONCURRENCY"
    )
    rate: float | None = Field(
        None, ge=0.01, le=100_000, allow_inf_nan=False, description="calls a second; default GATEWAY_SOURCE_RATE"
    )

    @field_validator("base_url")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port, httpx.URL(value)  # each raises for what it cannot read, and quotes it
            is_url = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        except (ValueError, httpx.InvalidURL):
            is_url = False
        if not is_url:
            raise ValueError("must be an http(s) URL without query, such as https://host/path")
        if parts.username or parts.password:
            raise ValueError("must not hold credentials; give the keys in their own settings")
        return value.rstrip("/")

    def over(self, common: CommonSettings) -> CommonSettings:
        """`common`, with what this source sets for itself."""
        return msgspec.structs.replace(
            common,
            settle=common.settle if self.settle is None else self.settle,
            max_concurrency=common.max_concurrency if self.concurrency is None else self.concurrency,
            max_rate=common.max_rate if self.rate is None else self.rate,
        )

    @classmethod
    def variables(cls, provider: str) -> dict[str, str]:
        """The environment variable of each field that has a description: of `api_key` of `acme` it is ACME_API_KEY."""
        fields = [name for name, field in cls.model_fields.items() if field.description]
        fields.sort(key=_LIMITS.__contains__)  # those of the provider first
        return {field: f"{provider.upper()}_{field.upper()}" for field in fields}

    @classmethod
    def needed(cls) -> list[str]:
        """The fields without a default."""
        return [name for name, field in cls.model_fields.items() if field.is_required()]

    @classmethod
    def from_environment(cls, provider: str, env: Mapping[str, str]) -> Self | None:
        """None where no variable of a needed field is set. Raises ConfigurationError naming the variable."""
        names = cls.variables(provider)
        values = {field: env[name] for field, name in names.items() if env.get(name)}
        return cls.read(values, names) if values.keys() & set(cls.needed()) else None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """From a table of the TOML file. Raises ConfigurationError naming the key."""
        return cls.read(table, {name: name for name in cls.model_fields})

    @classmethod
    def read(cls, values: Mapping[str, Any], names: Mapping[str, str]) -> Self:
        """The settings that `values` hold. `names` maps a field to what the operator knows it by.

        Raises ConfigurationError naming each setting at fault."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigurationError(f"{'; '.join(_fault(item, names) for item in error.errors())}.") from None


Settings = TypeVar("Settings", bound=SourceSettings)


def configured_provider(
    name: str,
    settings: type[Settings],
    open_source: Callable[[str, Settings, CommonSettings], Source],
    *,
    title: str,
    mapping: Sequence[TypeMapping],
    mapping_version: str,
    renamed: Mapping[str, str] | None = None,
) -> Provider:
    """The `PROVIDER` of a package: its variables and keys are the fields of `settings`, of which `open_source` makes a
    source of a name."""

    def from_environment(env: Mapping[str, str], common: CommonSettings) -> Source | None:
        given = settings.from_environment(name, env)
        return None if given is None else open_source(name, given, common)

    def from_table(own: str, table: Mapping[str, Any], common: CommonSettings) -> Source:
        return open_source(own, settings.from_table(table), common)

    fields = settings.model_fields
    return Provider(
        name=name,
        title=title,
        mapping_version=mapping_version,
        mapping=mapping,
        variables={variable: fields[field].description or "" for field, variable in settings.variables(name).items()},
        from_environment=from_environment,
        from_table=from_table,
        needed=[f"{name.upper()}_{field.upper()}" for field in settings.needed()],
        renamed=renamed or {},
    )


def _fault(item: Any, names: Mapping[str, str]) -> str:
    field = str(item["loc"][0]) if item["loc"] else ""
    name = names.get(field, field)
    if item["type"] == "extra_forbidden":
        return f"{name} is not a setting of this provider; known are {', '.join(sorted(names.values()))}"
    if item["type"] == "missing":
        return f"{name} is missing; set it"
    return f"{name}: {remedy(item)}"


def remedy(item: Any) -> str:
    """What one of pydantic's errors says, to follow upon the setting's name: without a capital, without a full stop."""
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"


def iso_duration(value: Any, parse: Callable[[Any], timedelta], example: str) -> timedelta:
    """`value` where it is an ISO 8601 duration; pydantic's own `parse` knows other forms. Raises ValueError with
    `example`."""
    # A bare number would be taken for seconds, and "30" is more likely meant as days: insist on the unit.
    if isinstance(value, timedelta) or (isinstance(value, str) and value.strip().startswith("P")):
        with suppress(ValidationError):
            return parse(value)
    raise ValueError(f"must be an ISO 8601 duration such as {example}")


def header_safe(value: SecretStr) -> SecretStr:
    """A key that fits into a header: printable ASCII, not empty. Raises ValueError, without the value."""
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("must be printable ASCII without spaces at its ends")
    return value


def without_colon(value: SecretStr) -> SecretStr:
    """A key that is sent before its secret. Raises ValueError, without the value."""
    if ":" in value.get_secret_value():
        raise ValueError("must not contain a colon: it separates the key from its secret")
    return value


def rename(values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """`values` under their current names: each old name's value goes to its new name unless that is set, too."""
    old = {new: values[name] for name, new in renamed.items() if name in values}
    return old | {name: value for name, value in values.items() if name not in renamed}


def outdated_names(values: Mapping[str, Any], renamed: Mapping[str, str], removed: Collection[str] = ()) -> list[str]:
    """One sentence for each name among `values` that was renamed or removed in this release."""
    old = [
        f"{name} is now {new}; the old name works in this release only"
        for name, new in renamed.items()
        if name in values
    ]
    return old + [f"{name} is no longer a setting and has no effect; remove it" for name in removed if name in values]
