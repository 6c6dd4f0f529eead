"""What counts as private in a name, and how private values are hidden in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from app.engine.memo import remembered

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

#: Phones as they are written internationally, and the national ids that are a date of birth with a dash and a number.
#: They are hidden wherever they stand, also where no record says whose they are.
_ALWAYS = (
    r"(?<![\w.+])(?:\+|\b00(?=[1-9]))\d(?:[ ().-]{0,2}\d){6,14}(?!\w)",
    r"(?<![\w-])(?:\d\d)?(?:[0-3]\d[01]\d\d\d|\d\d[01]\d[0-3]\d)[-+]\d{3}[\dA-Z](?![\w-])",
)

_SHORTEST = 3  #: characters of a value that is looked for elsewhere because its name is private

Mask = Callable[[str], str]


def mask_for(values: Iterable[str]) -> Mask:
    """A function that puts `***` for each of `values` in a text, whatever its case and, in numbers, its
    separators.

    A value of fewer than six characters is only looked for as a whole word: a postal code of three digits
    would otherwise be found in every other timestamp.
    """
    patterns = [_pattern(value.strip()) for value in sorted(values, key=len, reverse=True) if value.strip()]
    patterns += _ALWAYS
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda text: pattern.sub(MASK, text)


def private_leaves(value: Any, private: bool = False) -> Iterator[str]:
    """The texts and numbers under private names, however deep: what must not be told elsewhere either."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from private_leaves(item, private or is_private_name(str(name)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from private_leaves(item, private)
    elif private and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        text = str(value).strip()
        if len(text) >= _SHORTEST:
            yield text


@remembered
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
