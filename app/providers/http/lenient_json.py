"""Parse untrusted JSON: an unusable value costs its record, never the whole response.

A valid response may contain one record with half a surrogate pair, a raw control character, an unknown escape, NaN, a
number of thousands of digits, or thousands of nested arrays. As the record stays in the vendor's log, an error would
make every page that contains it fail permanently (`tests/providers/test_lenient_json.py`).
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, Final

import msgspec

from app.domain.errors import TemporaryFailure

MAX_DEPTH = 64  #: levels of arrays and objects in a response
MAX_DIGITS = 4300  #: sign included; the limit of Python's conversion and msgspec
MAX_KEY = 256  #: characters of an id or a type, which cursors, ids and caches contain

#: Replacement of an unusable value.
UNUSABLE: Final = object()

_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})?')


class LenientJson(msgspec.Struct):
    """A decoded response. `suspect`: it may contain UNUSABLE."""

    value: Any
    suspect: bool

    def usable(self, value: Any) -> bool:
        """Whether a part of the response contains no UNUSABLE."""
        return not self.suspect or is_usable(value)


def read_json(body: bytes) -> LenientJson:
    """Return the decoded body. Raises SourceFailed for a body that is not JSON even after repair."""
    try:
        value = msgspec.json.decode(body)
        if is_shallow(body):
            return LenientJson(value, False)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        pass
    return LenientJson(_read_leniently(body), True)


def is_shallow(body: bytes) -> bool:
    """Whether the body is certainly no deeper than MAX_DEPTH. Fast: removes pairs of brackets from the inside out."""
    brackets = body.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return True
        shorter = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(brackets):
            return False  # brackets inside texts need a scan
        brackets = shorter
    return not brackets


def _read_leniently(body: bytes) -> Any:
    text = _without_deep_values(body).decode("utf-8-sig", "replace")
    try:
        value = _loads(text)
    except ValueError:
        try:
            value = _loads(_ESCAPE.sub(lambda found: found[0] if found[1] else "\\\\", text))
        except ValueError:
            raise TemporaryFailure("the provider's answer is not JSON") from None
    return _without_half_pairs(value)


def _loads(text: str) -> Any:
    return json.loads(
        text,
        strict=False,  # accepts raw control characters in strings
        parse_constant=lambda _: UNUSABLE,
        parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else UNUSABLE,
        parse_float=lambda digits: number if isfinite(number := float(digits)) else UNUSABLE,
    )


def _without_deep_values(body: bytes) -> bytes:
    """Return a copy with NaN, which becomes UNUSABLE, for every array and object deeper than MAX_DEPTH."""
    parts, depth, copied = [], 0, 0
    for token in _STRING_OR_BRACKET.finditer(body):
        bracket = token[0]
        if bracket in (b"[", b"{"):
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts += [body[copied : token.start()], b"NaN"]
                copied = len(body)  # unless the value ends
        elif bracket in (b"]", b"}"):
            depth -= 1
            if depth == MAX_DEPTH:
                copied = token.end()
    return b"".join([*parts, body[copied:]]) if parts else body


def count_in(value: Any) -> int | None:
    """Return the count that a provider wrote as a number or as its digits: `1342`, `1342.0` or `"1342"`; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _without_half_pairs(value: Any) -> Any:
    """Return a copy with U+FFFD for half surrogate pairs."""
    if isinstance(value, str):
        return value if value.isascii() else _text(value)
    if isinstance(value, dict):
        return {_text(name): _without_half_pairs(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_without_half_pairs(member) for member in value]
    return value


def _text(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_usable(value: Any) -> bool:
    """Whether a JSON value contains no UNUSABLE."""
    if isinstance(value, dict):
        return all(is_usable(member) for member in value.values())
    if isinstance(value, list):
        return all(is_usable(member) for member in value)
    return value is not UNUSABLE
