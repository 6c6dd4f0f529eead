"""Links and keys that let their holder sign or read a document: which they are, and how they are taken out. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from app.domain.text import LONGEST, memoize
from app.privacy.json_values import Rewriter, any_object, has_json_text, json_in
from app.privacy.person_fields import plain_number
from app.privacy.replacer import MASK, WITHIN, Span, Words, rewritten
from app.privacy.spelling import decoded, quick_letters

_LINK_NAME = re.compile(r"(?:ur[il]|href|link)s?\Z")
#: Parts of a name that make a link personal, wherever it stands: `signingUrl`, `signee_link`, `invitationLinks`. The
#: list is wide: a link that is taken out can be had from the provider, one that was shown cannot be taken back.
_PERSONAL_PARTS = ("sign", "invit", "magic", "access", "attachment", "recipient")
#: Where people sign on to a service, which is the same for all of them.
_SIGN_ON = re.compile(r"singlesign(?:on|out)|sign(?:on|out)\Z")
#: Names under which a provider keeps people and files, whose members' `url` lets its holder sign or read.
_HOLDERS = ("signee", "signer", "attachment", "recipient", "invit", "party", "parties", "participant")

_SHORTEST = 8  #: characters of a link that is searched for in other texts
_SHORTEST_PATH = 12  #: characters of its path that are searched for without its host
_SHORTEST_KEY = 3  #: characters of a key that is searched for within other texts
_MAX_KEYS = 64  #: keys that are replaced one by one first

_SECRET, _URL, _LINK, _HOLDER = "secret", "url", "link", "holder"

#: The kinds of names whose links are left out: everywhere, and among people or files.
PERSONAL = frozenset({_SECRET})
ALL_LINKS = frozenset({_SECRET, _URL, _LINK})
#: The same for a record that is about people in all of its parts: `url` is the link of one of them.
PERSONAL_AND_URLS = frozenset({_SECRET, _URL})


# The names are few and the same in every record, and each is judged thousands of times a page.
@memoize
def _kind_of(name: str) -> str:
    """`secret`: a personal link; `url` or `link`: one that is personal among people or files; `holder`: those."""
    plain = re.sub(r"[^a-z]", "", name.lower())
    if (found := _LINK_NAME.search(plain)) is not None:
        stem = _SIGN_ON.sub("", plain[: found.start()])
        if any(part in stem for part in _PERSONAL_PARTS):
            return _SECRET
        return _URL if plain == "url" else _LINK
    return _HOLDER if any(part in plain for part in _HOLDERS) else ""


@memoize
def names_have_links(names: tuple[str, ...]) -> bool:
    """Whether an object with these names may have links."""
    return not ALL_LINKS.isdisjoint(map(_kind_of, names))


def has_links(value: Any) -> bool:
    """Whether a name in a JSON value may be a link's. Without one, `without_links` finds none."""
    return any_object(value, names_have_links) or has_json_text((value,))


def without_links(value: Any, kinds: frozenset[str] = PERSONAL, links: list[str] | None = None) -> Any:
    """A copy of `value` without the members that are personal links, or links of people and files, at any depth.

    `links` receives the links in these members, which other texts may repeat, and those of JSON in texts; not texts
    that are too short for a link or have no slash, such as `none`."""
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            if (kind := _kind_of(name)) not in kinds:
                kept[name] = without_links(item, ALL_LINKS if kind == _HOLDER else kinds, links)
            elif links is not None:
                links += links_in(item)
        return kept
    if isinstance(value, str) and links is not None:
        for inner in json_in(value):
            without_links(inner, kinds, links)
    return [without_links(item, kinds, links) for item in value] if isinstance(value, list) else value


def links_in(value: Any) -> Iterator[str]:
    """Yield the words with a slash in the texts of a JSON value, if long enough for a link."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from links_in(item)
    elif isinstance(value, str):
        for word in value.split():
            if "/" in decoded(word) and len(link := word.rstrip(".,;:!?)>\"'")) >= _SHORTEST:
                yield link


class KeyShape:
    """What a vendor's keys look like, to find those that the record itself does not list. `pattern`: of a key, which is
    lower-case ASCII letters and digits; `spans` returns the places in a text of plain spelling; `length`: of a key, in
    characters; `quick`: of the letters of a text with such a place, if other than `pattern`; `linked`: the same in a
    text with a slash, which may be after a key's owner in a link.

    `is_key`: whether a text is one; `may_be_in`: whether it may contain any. Texts such as user agents recur."""

    def __init__(
        self, pattern: str, spans: Callable[[str], list[Span]], length: int, quick: str = "", linked: str = ""
    ) -> None:
        self._quick, self._linked = (re.compile((one or pattern).encode()) for one in (quick, linked or quick))
        self.spans, self.length = spans, length
        self.is_key = re.compile(pattern).fullmatch
        self.may_be_in: Callable[[str], bool] = memoize(
            lambda text: (quick := quick_letters(text)) is None or self.has_letters(quick, text)
        )

    def has_letters(self, quick: bytes, text: str) -> bool:
        """Whether the letters of a text (`quick_letters`) may contain a key."""
        return (self._linked if "/" in text else self._quick).search(quick) is not None


class Secrets(Rewriter):
    """Links, in whose place stands `***`, and signing keys with what stands in the place of each. `shape`: of further
    keys. Falsy without links and keys."""

    def __init__(
        self, links: Iterable[str] = (), keys: Mapping[str, str] | None = None, shape: KeyShape | None = None
    ) -> None:
        self._links, self._keys, self._shape = list(links), keys or {}, shape
        #: Keys of another shape.
        self.odd_keys = [key for key in self._keys if not shape.is_key(key)] if shape else [*self._keys]
        self._short_keys = {key: self._keys[key] for key in self.odd_keys if len(key.strip()) < _SHORTEST_KEY}
        self._numbers = {key: self._keys[key] for key in self.odd_keys if key.isdecimal()}
        #: Per link and odd key, letters of each of its spellings; of too many or unusual ones, no letters, which are in
        #: every text. Takes a tenth of the time of `_words`, which most processes do not need.
        self._probes = {b""}
        if len(self._links) + len(self._keys) <= _MAX_KEYS:
            self._probes = {_letters(text) for text in (*map(_shortest, self._links), *self.odd_keys)}
        #: Characters of the shortest ASCII text that may have any. Other texts may be shorter than their letters.
        lengths = [*map(len, self._probes), sys.maxsize if shape is None else shape.length]
        self.shortest = 0 if self._short_keys else min(lengths)

    @cached_property
    def _long_keys(self) -> list[str]:
        """The longest first: of two keys, one may contain the other."""
        longest = sorted(self._keys, key=len, reverse=True)[:_MAX_KEYS]
        return [key for key in longest if len(key) >= WITHIN]

    def __bool__(self) -> bool:
        return bool(self._keys or self._words)

    @cached_property
    def _words(self) -> Words:
        words = dict.fromkeys([spelling for link in self._links for spelling in _spellings(link)], MASK)
        return Words(words | {key: shown for key, shown in self._keys.items() if key not in self._short_keys})

    def text(self, text: str) -> str:
        """The text without the links and keys, also where they stand without scheme, with an upper-case host,
        percent-encoded or escaped for HTML or JSON."""
        if len(text) < self.shortest and text.isascii():
            return text
        if text in self._short_keys:
            return self._short_keys[text]
        if len(text) <= LONGEST and not self._probes and self._shape and not self._shape.may_be_in(text):
            return text
        if "/" not in text:
            # Most repeat a key as it is, outside of a link; the search below takes ten times as long.
            for key in self._long_keys:
                text = text.replace(key, self._keys[key])
        quick = quick_letters(text)
        if quick is not None:
            for probe in self._probes:
                # `in` first tries bytes as a number, and drops an exception: 370 instead of 230 ns.
                if quick.find(probe) >= 0:
                    break
            else:
                if self._shape is None or not self._shape.has_letters(quick, text):
                    return text
        return rewritten(text, self._words.spans if self._shape is None else self._spans)

    def number(self, value: float, _: str) -> Any:
        return self._numbers.get(plain_number(value), value) if self._numbers else value

    def _spans(self, plain: str) -> list[Span]:
        # Of equal places the first counts: a listed key has its own replacement.
        return [*self._words.spans(plain), *(self._shape.spans(plain) if self._shape else ())]


def _spellings(link: str) -> Iterator[str]:
    """A link as others may repeat it: whole, without scheme, and its path alone, with or without its query, where that
    is long enough."""
    for spelled in dict.fromkeys((link, decoded(link))):
        yield spelled
        yield (bare := spelled.partition("://")[2] or spelled.removeprefix("//"))
        path = bare[max(0, bare.find("/")) :]
        yield from (part for part in (path, re.split("[?#]", path)[0]) if len(part) >= _SHORTEST_PATH)


def _letters(text: str) -> bytes:
    """Return letters that all spellings of an ASCII text have; none of other texts."""
    if not text.isascii():
        return b""
    # Most keys are letters and digits alone.
    return text.lower().encode() if text.isalnum() else quick_letters(text) or b""


def _shortest(link: str) -> str:
    """Return the spelling that all spellings of a link contain; empty for an encoded link or one without letters."""
    if decoded(link) != link:
        return ""
    bare = link.partition("://")[2] or link.removeprefix("//")
    path = bare[max(0, bare.find("/")) :]
    plain = path.partition("?")[0].partition("#")[0]
    return plain if len(plain) >= _SHORTEST_PATH else path if len(path) >= _SHORTEST_PATH else bare
