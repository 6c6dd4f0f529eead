"""Spellings of a text that look or read the same: plain letters, escapes, encodings and markup. Pure."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator
from html import unescape
from urllib.parse import unquote

from app.domain.text import INVISIBLE

_DASHES = re.compile("[\u2010-\u2015\u2212]")
_FOREIGN_DIGITS = re.compile(r"(?![0-9])\d")
#: Escapes of JSON and JavaScript.
_ESCAPE = re.compile(
    r"[\\%]u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\u\{0*([0-9a-fA-F]{1,5})\}"
    r"|\\[bfnrtv](?=[\W_]{0,3}\d)"  # a blank; before a letter, as in `C:\new`, it may be no escape
)
_MARKUP = re.compile(r"<[/!?]?[a-zA-Z-][\w-]*+(?:[\s/][^<>]*+)?>")
#: A character beyond the first 65,536, as JSON and JavaScript escape it, also several times.
_PAIR = re.compile(r"([\ud800-\udbff])\\*([\udc00-\udfff])")
_MAX_LAYERS = 16  #: encodings of one text that are taken off

_PERCENT, _AND, _BACKSLASH, _LESS = b"%&\\<"  #: numbers: a search for one takes 36 ns, one for bytes 230 ns
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_SIGNS = bytes(byte for byte in range(128) if not chr(byte).isalnum())
_ASCII_LETTERS = {**dict.fromkeys(_SIGNS), **{ord(letter): letter.lower() for letter in string.ascii_letters}}


def plain_spelling(text: str) -> str:
    """Return the text with composed accents, ASCII digits, signs of normal width and hyphens for dashes, without
    invisible characters: spellings that look the same become equal."""
    return text if text.isascii() or _PLAIN.fullmatch(text) else _plain(text)


def _plain(text: str) -> str:
    plain = _DASHES.sub("-", unicodedata.normalize("NFKC", text.translate(INVISIBLE)))
    return _FOREIGN_DIGITS.sub(lambda match: str(unicodedata.decimal(match[0])), plain)


def folded(text: str) -> str:
    """Return the case-folded text, in which a dotted and a dotless i are one letter. Works letter by letter."""
    plain = text.casefold()
    return plain if plain.isascii() else plain.replace("\u0307", "").replace("\u0131", "i")


def _is_plain(letter: str) -> bool:
    fold = folded(letter)
    return _plain(letter) == letter and letter.isalpha() and len(fold) == 1 and not fold.isascii()


#: Texts of ASCII and Latin letters that are plain, and whose other letters fold to one other letter.
_PLAIN = re.compile(f"[\0-\x7f{''.join(filter(_is_plain, map(chr, range(0xC0, 0x250))))}]*")


def canonical(text: str) -> str:
    """Return the text in plain spelling, folded, with one blank between its parts."""
    return " ".join(folded(plain_spelling(text)).split())


def letters_of(plain: str) -> str:
    """Return the folded letters and digits of a text of plain spelling: what remains equal when others repeat it."""
    return plain.translate(_ASCII_LETTERS) if plain.isascii() else "".join(filter(str.isalnum, folded(plain)))


def places_of_letters(plain: str) -> list[int]:
    """Return for each of `letters_of(plain)` its place in the text."""
    if plain.isascii():
        return [place for place, letter in enumerate(plain) if letter.isalnum()]
    return [place for place, letter in enumerate(plain) for one in folded(letter) if one.isalnum()]


def quick_letters(text: str) -> bytes | None:
    """Return the letters of a text, of which ASCII ones are folded, in a hundredth of the time of `letters_of`; None if
    it may be encoded, has markup or is not of plain spelling."""
    if "%" in text or "&" in text or "\\" in text or not (text.isascii() or _PLAIN.fullmatch(text)):
        return None
    if "<" in text and _MARKUP.search(text) is not None:
        return None
    return text.encode().translate(_LOWER, _SIGNS)


def quick_letters_of(encoded: bytes) -> bytes | None:
    """Return the `quick_letters` of a text in UTF-8."""
    if not encoded.isascii() or _PERCENT in encoded or _AND in encoded or _BACKSLASH in encoded or _LESS in encoded:
        return quick_letters(encoded.decode())
    return encoded.translate(_LOWER, _SIGNS)


def decodings(text: str) -> Iterator[str]:
    """Yield the decoded text, and the decoded text without markup, if they differ from the text."""
    yield from (form for form in dict.fromkeys(read(text) for read in READINGS) if form != text)


def decoded(text: str) -> str:
    """Return the text without percent-encoding and the escapes of HTML and JSON, also if encoded several times."""
    for _ in range(_MAX_LAYERS):
        before = text
        if "%" in text or "&" in text or "\\" in text:
            text = _PAIR.sub(_joined, _ESCAPE.sub(_unescaped, unescape(unquote(text))))
        if text == before:
            break
    return text


def _without_markup(text: str) -> str:
    plain = decoded(text)
    return _MARKUP.sub("", plain) if "<" in plain else plain


#: The ways in which a text may be read: decoded, and decoded without markup.
READINGS = (decoded, _without_markup)


def _unescaped(match: re.Match[str]) -> str:
    number = match[1] or match[2] or match[3]
    return " " if number is None else chr(int(number, 16))


def _joined(pair: re.Match[str]) -> str:
    return (pair[1] + pair[2]).encode("utf-16", "surrogatepass").decode("utf-16")
