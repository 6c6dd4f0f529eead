"""What counts as private in a name, and how private values are hidden in a text. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from app.domain.memoize import memoize
from app.privacy.substring_index import MOST, SubstringIndex

MASK = "***"

#: Names, as words, under which there is a phone, a national id or an address, whatever the value looks like.
_PRIVATE_WORDS = frozenset(
    [
        "tel",
        "telno",
        "gsm",
        "fax",
        "ssn",
        "idnumber",
        "taxid",
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
    "phone", "mobile", "msisdn", "smsnumber", "cellnumber", "gsmnumber", "telnumber", "contactnumber", "kennitala",
    "nationalid", "nationalnumber", "nationalregistration", "personalid", "personalnumber", "personalcode",
    "personnumber", "personnummer", "identitynumber", "identitycode", "identificationnumber", "identificationcode",
    "citizenid", "civilid", "socialid", "socialsecurity", "taxnumber", "postalcode", "postcode", "zipcode", "address",
)  # fmt: skip
#: Words one after another, where the same letters also stand in other names, such as `gridNumber`.
_PRIVATE_PHRASES = (" id number ", " tax id ", " tel no ")
#: An e-mail address is an identity, not an address to hide.
_EMAIL_PARTS = re.compile(r"email(?:address(?:es)?)?|mailaddress(?:es)?")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SEPARATORS = re.compile(r"[\s().+/-]")
_SEPARATOR = r"[\s().+/-]{0,3}"

#: Phones as they are written internationally, and the national ids that are a date of birth with a dash and a number.
#: They are hidden wherever they stand, also where no record says whose they are.
_ALWAYS = (
    r"(?<![\w.+])(?:\+|\b00(?=[1-9]))\d(?:[ ().-]{0,2}\d){6,14}(?!\w)",
    r"(?<![\w-])(?:\d\d)?(?:[0-3]\d[01]\d\d\d|\d\d[01]\d[0-3]\d)[-+]\d{3}[\dA-Z](?![\w-])",
)

_ALWAYS_PATTERN = re.compile("|".join(_ALWAYS), re.IGNORECASE)
_NO_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")

_MANY = 4000  #: values of which none is looked for by its pattern: a text that may hold one is hidden whole
_PATTERNS = 1024  #: patterns that are made for the values of one mask

_SHORTEST = 3  #: characters of a value that is looked for elsewhere because its name is private

MaskFunction = Callable[[str], str]


def mask_for(values: Iterable[str]) -> MaskFunction:
    """A function that puts `***` for each of `values` in a text, whatever its case and, in numbers, its
    separators and dashes, and its way of writing accents.

    A value of fewer than six characters is only looked for as a whole word: a postal code of three digits
    would otherwise be found in every other timestamp.
    """
    spellings = {spelling.strip() for value in values for spelling in (value, plain_spelling(value))}
    masker = _Masker([_Wanted(value) for value in sorted(spellings, key=len, reverse=True) if value])

    def mask(text: str) -> str:
        masked = masker.mask(text)
        if masked.isascii() or (plain := plain_spelling(masked)) == masked:
            return masked
        # As it was sent, unless there is something to hide in it.
        hidden = masker.mask(plain)
        return masked if hidden == plain else hidden

    # The events of an envelope repeat names and titles.
    return memoize(mask, 1024)


def plain_spelling(text: str) -> str:
    """A text with accents joined to their letters, digits and signs of full width as plain ones, and every dash a
    hyphen: two spellings of a text that look the same are the same in it."""
    return text if text.isascii() else _DASHES.sub("-", unicodedata.normalize("NFKC", text))


_DASHES = re.compile("[\u2010-\u2015\u2212]")


class _Wanted:
    """A value, and what every text that holds it holds as well: `digits` of a number, a folded `word` of others."""

    __slots__ = ("digits", "pattern", "word")

    def __init__(self, value: str) -> None:
        digits = _SEPARATORS.sub("", value)
        if digits.isascii() and digits.isdigit() and len(digits) >= 6:
            self.pattern, needed = _number(value, digits)
            self.digits, self.word = needed, ""
        else:
            words = value.split()
            escaped = r"\s+".join(re.escape(word) for word in words)
            self.pattern = rf"(?<!\w){escaped}(?!\w)" if len(value) < 6 else escaped
            self.digits, self.word = "", folded(max(words, key=len))


class _Masker:
    """Looks closer only where a value may be: patterns of many values are slow to make and to search by, and hardly a
    text holds one. Where looking closer would take too long, because there are very many values or very many of them
    may be in a text, all of the text is hidden."""

    __slots__ = ("_by_digits", "_by_word", "_digits", "_patterns", "_wanted", "_words")

    def __init__(self, wanted: list[_Wanted]) -> None:
        self._wanted = wanted
        self._by_word: dict[str, list[int]] = {}
        self._by_digits: dict[str, list[int]] = {}
        for number, one in enumerate(wanted):
            if one.word:
                self._by_word.setdefault(one.word, []).append(number)
            if one.digits:
                self._by_digits.setdefault(one.digits, []).append(number)
        self._words, self._digits = SubstringIndex(self._by_word), SubstringIndex(self._by_digits)
        self._patterns: dict[tuple[int, ...], re.Pattern[str]] = {}

    def mask(self, text: str) -> str:
        words = self._words.found_in(folded(text)) if self._by_word else []
        found: list[str] | None = []
        if self._by_digits and (digits := text.encode(errors="replace").translate(None, _NO_DIGITS)):
            found = self._digits.found_in(digits.decode())
        if not words and words is not None and not found and found is not None:
            return _ALWAYS_PATTERN.sub(MASK, text) if _may_match_always(text) else text
        if words is None or found is None or len(self._wanted) > _MANY:
            return MASK
        hits = [number for word in words for number in self._by_word[word]]
        hits += [number for digits_found in found for number in self._by_digits[digits_found]]
        if len(hits) > MOST:
            return MASK
        hits.sort()
        key = tuple(hits)
        pattern = self._patterns.get(key)
        if pattern is None:
            if len(self._patterns) >= _PATTERNS:
                return MASK
            parts = [*(self._wanted[number].pattern for number in hits), *_ALWAYS]
            pattern = self._patterns[key] = re.compile("|".join(parts), re.IGNORECASE)
        return pattern.sub(MASK, text)


def _may_match_always(text: str) -> bool:
    """False where the patterns that are always looked for cannot match; quicker than they are."""
    return (
        "+" in text
        or (_DASHED.search(text) is not None and _DATED.search(text) is not None)
        or ("00" in text and _TRUNK.search(text) is not None)
    )


_DASHED, _DATED = re.compile(r"-\d\d\d"), re.compile(r"\d-\d\d\d")  # what begins with a letter is found sooner
_TRUNK = re.compile("00[1-9]")


def folded(text: str) -> str:
    """A text such that whatever `re.IGNORECASE` takes for the same is the same in it."""
    plain = text.casefold()
    # For `re`, the i with and the one without a dot are the same letter as i; for Unicode they are not.
    return plain if plain.isascii() else plain.replace("i\u0307", "i").replace("\u0131", "i")


def private_leaves(value: Any, private: bool = False) -> Iterator[str]:
    """The texts and numbers under private names, however deep: what must not be told elsewhere either."""
    if isinstance(value, dict):
        for name, item in value.items():
            hidden = private or is_private_name(str(name))
            # `emailOrPhone` may hold an address that everybody may see elsewhere.
            if private or not (hidden and isinstance(item, str) and "@" in item and _is_of_emails(str(name))):
                yield from private_leaves(item, hidden)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from private_leaves(item, private)
    elif private and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        text = str(value).strip()
        if len(text) >= _SHORTEST:
            yield text


def distinct(names: list[str]) -> list[str]:
    """The names, numbered where several have come to be the same: `***`, `*** 2`, `*** 3`, in their order."""
    if len(set(names)) == len(names):
        return names
    taken: set[str] = set()
    counts: dict[str, int] = {}
    found = []
    for name in names:
        free, count = name, counts.get(name, 1)
        while free in taken:
            count += 1
            free = f"{name} {count}"
        counts[name] = count
        taken.add(free)
        found.append(free)
    return found


@memoize
def is_private_name(name: str) -> bool:
    """Whether values under a key of this name are phones, national ids or addresses, whatever its way of
    writing.
    """
    words = words_of(name)
    # What else a name says stays: `emailOrPhone` may hold a phone.
    joined = _EMAIL_PARTS.sub(" ", "".join(words))
    phrase = f" {' '.join(words)} "
    return (
        any(word in _PRIVATE_WORDS or word.endswith(("ssn", "ssns")) for word in words)
        or any(part in joined for part in _PRIVATE_PARTS)
        or any(part in phrase for part in _PRIVATE_PHRASES)
    )


@memoize
def _is_of_emails(name: str) -> bool:
    return _EMAIL_PARTS.search("".join(words_of(name))) is not None


def words_of(name: str) -> list[str]:
    """The words of a name in any way of writing, such as `phone_number` or `phoneNumber`, in lower case."""
    return [word.lower() for word in _WORDS.findall(name)]


def _number(value: str, digits: str) -> tuple[str, str]:
    """A pattern for a phone or an id, and the digits that a text must hold in this order for it to match."""
    international = value.startswith("+") or value.startswith("00")
    if international and not value.startswith("+"):
        digits = digits[2:]
    # The same phone is written with and without its country's code, of one to three digits.
    optional = min(3, max(0, len(digits) - 7)) if international else 0
    head = "".join(f"(?:{digit}{_SEPARATOR})?" for digit in digits[:optional])
    lead = r"(?:\+|\b00)?" if international else ""
    return lead + head + _SEPARATOR.join(digits[optional:]), digits[optional:]
