"""`audit-gateway keys`."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from app.api.api_keys import append_key, hash_of, make_api_key, new_key, read_keys
from app.cli.failures import Failure, discard_output, print_error
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
    """Make a key, print it, add its hash to `file`, and return it.

    Raises ConfigurationError or Failure, and then `file` is as it was.
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
        _check_writable(file)
        # First the key, which is nowhere else: a hash whose key nobody saw is of no use, and looks like one that is.
        _print_key(key)
        append_key(file, record)
    except OSError as error:
        raise ConfigurationError(f"--file: {file} cannot be written ({error.strerror}); no key was added.") from None
    print(f"Added {name} to {file}. Set GATEWAY_API_KEYS_FILE={file} where the gateway runs.", file=sys.stderr)
    if is_second:
        print_error(
            f"{file} had a key of the name {name} already, which stays good: the log does not tell the two apart, and"
            " who removes a key by this name removes both"
        )
    return key


def _check_writable(file: Path) -> None:
    """Raises OSError where `file` can be neither written nor made. Changes nothing."""
    try:
        os.close(os.open(file, os.O_RDWR))
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def _print_key(key: str) -> None:
    """Raises Failure unless whoever reads standard output has the key."""
    try:
        print(key, flush=True)
    except OSError as error:
        discard_output()
        raise Failure(f"standard output cannot be written ({error.strerror}); no key was made") from None


def _names_in(file: Path) -> set[str]:
    """None of a file that cannot be read: the gateway says what is wrong with it."""
    try:
        return {key.name for key in read_keys(file.read_text(encoding="utf-8"), str(file))}
    except (OSError, UnicodeDecodeError, ConfigurationError):
        return set()


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
