"""Settings of a Subnoto source.

`proxy` is the customer's Encryption Proxy: plain HTTP, `Authorization: Bearer ACCESS:SECRET`. The enclave
accepts no plain JSON (vendor's page on API security); `tunnel` reaches it through the vendor's SDK.
"""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from app.providers.http.network import is_loopback
from app.providers.settings import SourceSettings, header_safe, without_colon
from app.providers.subnoto.client import CATEGORIES

#: Default of `base_url` by transport.
BASE_URLS = {"proxy": "http://localhost:8080", "tunnel": "https://enclave.subnoto.com"}

#: Names of the last release -> current names.
RENAMED = {"SUBNOTO_SKEW": "SUBNOTO_MAX_TIME_SKEW"}


class SubnotoSettings(SourceSettings):
    base_url: str = Field(
        BASE_URLS["proxy"], description="the Encryption Proxy, default http://localhost:8080; or the tunnel's enclave"
    )
    access_key: SecretStr = Field(description="access key of a team API key (Settings > API keys); adds a source")
    secret_key: SecretStr = Field(description="the secret of the access key")
    transport: Literal["proxy", "tunnel"] = Field(
        "proxy", description="proxy (default), or tunnel: the vendor's SDK, no proxy needed"
    )
    categories: tuple[str, ...] = Field(
        ("envelope", "team"), description="log categories to read, comma-separated; default envelope,team"
    )
    max_time_skew: float = Field(
        120.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="seconds by which timestamps may run back against insertion; default 120",
    )
    join_envelopes: bool = Field(
        False, description="true: read names, statuses, owners and recipients of envelopes; default false"
    )

    _keys_fit_headers = field_validator("access_key", "secret_key")(header_safe)
    _ends_at_the_colon = field_validator("access_key")(without_colon)

    @model_validator(mode="before")
    @classmethod
    def _base_url_of_transport(cls, values: dict[str, Any]) -> dict[str, Any]:
        # The field refuses an unknown transport.
        default = BASE_URLS.get(str(values.get("transport", "proxy")), BASE_URLS["proxy"])
        return {"base_url": default, **values}

    @field_validator("transport")
    @classmethod
    def _fits_the_tunnel(cls, value: str, info: ValidationInfo) -> str:
        base_url, secret_key = info.data.get("base_url"), info.data.get("secret_key")
        if value == "tunnel" and base_url is not None and secret_key is not None:
            _check_tunnel(base_url, secret_key)
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


def sdk_encrypts(base_url: str) -> bool:
    """Whether the vendor's SDK encrypts requests to this URL: not if the host *contains* one of these names."""
    host = urlsplit(base_url).hostname or ""
    return "localhost" not in host and "127.0.0.1" not in host


def _check_tunnel(base_url: str, secret_key: SecretStr) -> None:
    """Raises ValueError if the SDK would fail, or send unencrypted."""
    try:
        bytes.fromhex(secret_key.get_secret_value())
    except ValueError:
        raise ValueError("tunnel signs with the secret key, which must then be hexadecimal digits") from None
    parts = urlsplit(base_url)
    if parts.path:
        # The SDK encrypts only its own paths.
        raise ValueError("tunnel needs a base URL without a path, such as https://enclave.subnoto.com")
    local = is_loopback(parts.hostname or "")
    if not local and not sdk_encrypts(base_url):
        raise ValueError("tunnel would not encrypt: the vendor's SDK takes the base URL's host for this machine")
    if not local and parts.scheme != "https":
        raise ValueError("tunnel needs an https base URL, except on this machine")
