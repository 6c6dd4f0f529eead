"""What counts as private in a name, and how private values are hidden in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

MASK = "***"

#: Names, as words, under which there is a phone, a national id or an address, whatever the value looks like.
_PRIVATE_WORDS = frozenset(
    [
        "tel",
        "fax",
        "ssn",
        "kt",
        "cpr",
        "passport",
        "street",
        "city",
        "town",
        "zip",
        "postal",
        "latitude",
        "longitude",
    ]
)
#: The same, where names are written as one word or of several.
_PRIVATE_PARTS = (
    "phone", "mobile", "msisdn", "kennitala", "nationalid", "personalid", "personalnumber", "personnummer",
    "identitynumber", "socialsecurity", "postalcode", "postcode", "zipcode", "address",
)  # fmt: skip
#: An e-mail address is an identity, not an address to hide.
_NOT_PRIVATE_PARTS = ("email", "mailaddress")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SEPARATORS = re.compile(r"[\s().+/-]")
_SEPARATOR = r"[\s().+/-]{0,3}"

Mask = Callable[[str], str]


def mask_for(values: Iterable[str]) -> Mask:
    """A function that puts `***` for each of `values` in a text, whatever its case and, in numbers, its
    separators.

    A value of fewer than six characters is only looked for as a whole word: a postal code of three digits
    would otherwise be found in every other timestamp.
    """
    patterns = [_pattern(value.strip()) for value in sorted(values, key=len, reverse=True) if value.strip()]
    if not patterns:
        return lambda text: text
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda text: pattern.sub(MASK, text)


def is_private_name(name: str) -> bool:
    """Whether values under a key of this name are phones, national ids or addresses, whatever its way of
    writing.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    joined = "".join(words)
    if any(part in joined for part in _NOT_PRIVATE_PARTS):
        return False
    return any(word in _PRIVATE_WORDS for word in words) or any(part in joined for part in _PRIVATE_PARTS)


def _pattern(value: str) -> str:
    digits = _SEPARATORS.sub("", value)
    if not (digits.isascii() and digits.isdigit() and len(digits) >= 6):
        escaped = r"\s+".join(re.escape(word) for word in value.split())
        return rf"(?<!\w){escaped}(?!\w)" if len(value) < 6 else escaped
    international = value.startswith("+") or value.startswith("00")
    if international and not value.startswith("+"):
        digits = digits[2:]
    # The same phone is written with and without its country's code, of one to three digits.
    optional = min(3, max(0, len(digits) - 7)) if international else 0
    head = "".join(f"(?:{digit}{_SEPARATOR})?" for digit in digits[:optional])
    lead = r"(?:\+|\b00)?" if international else ""
    return lead + head + _SEPARATOR.join(digits[optional:])
