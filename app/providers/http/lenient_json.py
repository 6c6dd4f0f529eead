"""JSON from outside: decoded so that one record that nobody could use does not take the others with it.

Texts may hold half a surrogate pair, which is JSON but has no UTF-8; numbers may be NaN, infinite or thousands of
digits long; values may be nested until the stack ends. All of it may stand in one record of a log that is otherwise
good, and will stand there tomorrow: an error would close the log for ever.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from app.domain.errors import SourceFailed

MAX_DEPTH = 64  #: of arrays and objects within each other, in a whole answer
MAX_DIGITS = 4300  #: sign included; what Python still turns into text and back, and msgspec reads
MAX_KEY = 256  #: characters of an id or a type: they go into cursors, ids and caches

#: Stands where a value was that cannot be handed on.
UNUSABLE: Final = object()

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class LenientJson(msgspec.Struct):
    """A decoded answer. `suspect`: UNUSABLE may be somewhere in it."""

    value: Any
    suspect: bool

    def usable(self, value: Any) -> bool:
        """Whether a part of the answer is free of UNUSABLE."""
        return not self.suspect or _usable(value)


def read_json(body: bytes) -> LenientJson:
    """Raises SourceFailed where it is not JSON, even when read with good will."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return LenientJson(_read_leniently(body), True)
    return LenientJson(value, False) if is_shallow(body) else LenientJson(_cleaned(value, MAX_DEPTH), True)


def is_shallow(body: bytes) -> bool:
    """Whether it is certainly no deeper than MAX_DEPTH. Quick: pairs of brackets are struck out from the inside."""
    brackets = body.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(brackets):
            return False  # brackets inside of texts: look closer
        brackets = shorter
    return not brackets


def _read_leniently(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig", "replace")
        value = json.loads(text, parse_constant=_unusable, parse_int=_integer, parse_float=_number)
    except (ValueError, RecursionError):
        raise SourceFailed("the provider's answer is not JSON") from None
    return _cleaned(value, MAX_DEPTH)


def _unusable(text: str) -> Any:
    return UNUSABLE


def _integer(text: str) -> Any:
    return int(text) if len(text) <= MAX_DIGITS else UNUSABLE


def _number(text: str) -> Any:
    value = float(text)
    return value if abs(value) != float("inf") else UNUSABLE


def _cleaned(value: Any, depth: int) -> Any:
    """A copy in which half surrogates are U+FFFD, and what is nested more than `depth` deep is UNUSABLE."""
    if isinstance(value, str):
        return value if value.isascii() else _text(value)
    if isinstance(value, dict):
        if depth == 0:
            return UNUSABLE
        return {_text(name): _cleaned(member, depth - 1) for name, member in value.items()}
    if isinstance(value, list):
        return [_cleaned(member, depth - 1) for member in value] if depth else UNUSABLE
    return value


def _text(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usable(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_usable(member) for member in value.values())
    if isinstance(value, list):
        return all(_usable(member) for member in value)
    return value is not UNUSABLE
