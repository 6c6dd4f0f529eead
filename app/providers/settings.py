"""Base of the providers' settings: parsing, and errors that name the setting."""

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
    # None: the gateway's setting applies.
    #: Seconds by which `follow` delays events.
    settle: float | None = Field(default=None, ge=0, le=86_400, allow_inf_nan=False)
    concurrency: int | None = Field(
        None, ge=1, le=1000, description="concurrent calls; default GATEWAY_SOURCE_CONCURRENCY"
    )
    rate: float | None = Field(
        None, ge=0.01, le=100_000, allow_inf_nan=False, description="calls per second; default GATEWAY_SOURCE_RATE"
    )

    @field_validator("base_url")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            _ = parts.port, httpx.URL(value)  # both raise for an invalid URL, and quote it
            is_url = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        except (ValueError, httpx.InvalidURL):
            is_url = False
        if not is_url:
            raise ValueError("must be an http(s) URL without query, such as https://host/path")
        if parts.username or parts.password:
            raise ValueError("must not hold credentials; give the keys in their own settings")
        return value.rstrip("/")

    def over(self, common: CommonSettings) -> CommonSettings:
        """Return `common` with this source's own settings."""
        return msgspec.structs.replace(
            common,
            settle=common.settle if self.settle is None else self.settle,
            max_concurrency=common.max_concurrency if self.concurrency is None else self.concurrency,
            max_rate=common.max_rate if self.rate is None else self.rate,
        )

    @classmethod
    def variables(cls, provider: str) -> dict[str, str]:
        """Return the environment variable of each field with a description: ACME_API_KEY for `api_key` of `acme`."""
        fields = [name for name, field in cls.model_fields.items() if field.description]
        fields.sort(key=_LIMITS.__contains__)  # the provider's own first
        return {field: f"{provider.upper()}_{field.upper()}" for field in fields}

    @classmethod
    def needed(cls) -> list[str]:
        """Return the fields without a default."""
        return [name for name, field in cls.model_fields.items() if field.is_required()]

    @classmethod
    def from_environment(cls, provider: str, env: Mapping[str, str]) -> Self | None:
        """Return the settings, or None if no variable of a needed field is set. Raises ConfigurationError with the
        variable."""
        names = cls.variables(provider)
        values = {field: env[name] for field, name in names.items() if env.get(name)}
        return cls.read(values, names) if values.keys() & set(cls.needed()) else None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Return the settings of a TOML table. Raises ConfigurationError with the key."""
        return cls.read(table, {name: name for name in cls.model_fields})

    @classmethod
    def read(cls, values: Mapping[str, Any], names: Mapping[str, str]) -> Self:
        """Return the settings in `values`. `names` maps a field to the operator's name of it.

        Raises ConfigurationError with each invalid setting."""
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
    """Return the `PROVIDER` of a package: its variables and keys are the fields of `settings`, from which `open_source`
    creates a named source."""

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
    """Return the text of one of pydantic's errors, to follow the setting's name: no capital, no full stop."""
    if item["type"] in ("bool_parsing", "bool_type"):
        return "must be true or false"
    message = str(item["msg"]).removeprefix("Value error, ").partition(", unable to parse")[0]
    return f"{message[0].lower()}{message[1:]}".replace("input should be", "must be")


def iso_duration(value: Any, parse: Callable[[Any], timedelta], example: str) -> timedelta:
    """Return an ISO 8601 duration; pydantic's `parse` accepts other forms. Raises ValueError with `example`."""
    # A bare number would be parsed as seconds, but "30" probably means days: require the unit.
    if isinstance(value, timedelta) or (isinstance(value, str) and value.strip().startswith("P")):
        with suppress(ValidationError):
            return parse(value)
    raise ValueError(f"must be an ISO 8601 duration such as {example}")


def header_safe(value: SecretStr) -> SecretStr:
    """Check that a key fits into a header: printable ASCII, not empty. Raises ValueError, without the value."""
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError("must be printable ASCII without spaces at its ends")
    return value


def without_colon(value: SecretStr) -> SecretStr:
    """Check a key that precedes its secret and a colon. Raises ValueError, without the value."""
    if ":" in value.get_secret_value():
        raise ValueError("must not contain a colon: it separates the key from its secret")
    return value


def rename(values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Return `values` under their current names: an old name's value moves to its new name unless that is set, too."""
    old = {new: values[name] for name, new in renamed.items() if name in values}
    return old | {name: value for name, value in values.items() if name not in renamed}


def outdated_names(values: Mapping[str, Any], renamed: Mapping[str, str], removed: Collection[str] = ()) -> list[str]:
    """Return one sentence for each name in `values` that was renamed or removed in this release."""
    now = "is now {}; the old name works in this release only"
    old = [f"{name} {now.format(new)}" for name, new in renamed.items() if name in values]
    return old + [f"{name} is no longer a setting and has no effect; remove it" for name in removed if name in values]
