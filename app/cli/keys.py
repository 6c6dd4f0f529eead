"""`audit-gateway keys`."""

from __future__ import annotations

import sys
from pathlib import Path

from app.api.keys import append_key, hash_of, make_api_key, new_key, read_keys
from app.cli.failures import complain
from app.domain.errors import ConfigurationError
from app.domain.times import now_micros


def make_key(
    name: str,
    scopes: str,
    file: Path,
    *,
    sources: str | None = None,
    rate: str | None = None,
    expires: str | None = None,
) -> str:
    """Make a key, add its hash to `file`, and return it. Raises ConfigurationError, and then nothing was
    written.
    """
    key = new_key()
    try:
        record = make_api_key(
            name, hash_of(key), _list(scopes), None if sources is None else _list(sources), rate, expires
        )
    except ValueError as error:
        raise ConfigurationError(f"--{error}.") from None
    if record.expires is not None and record.expires <= now_micros():
        raise ConfigurationError("--expires lies in the past; give a later time.")
    is_second = name in _names_in(file)
    try:
        append_key(file, record)
    except OSError as error:
        raise ConfigurationError(f"--file: {file} cannot be written ({error.strerror}).") from None
    print(f"Added {name} to {file}. Set GATEWAY_API_KEYS_FILE={file} where the gateway runs.", file=sys.stderr)
    if is_second:
        complain(
            f"{file} had a key of the name {name} already, which stays good: the log does not tell the two apart, and"
            " who removes a key by this name removes both"
        )
    return key


def _names_in(file: Path) -> set[str]:
    """None of a file that cannot be read: the gateway says what is wrong with it."""
    try:
        return {key.name for key in read_keys(file.read_text(encoding="utf-8"), str(file))}
    except (OSError, UnicodeDecodeError, ConfigurationError):
        return set()


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
