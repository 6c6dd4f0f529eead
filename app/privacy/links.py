"""Links and keys that let their holder sign or read a document: which they are, and how they are taken out. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from app.domain.text import memoize
from app.privacy.replacer import (
    MASK,
    WITHIN,
    Words,
    any_object,
    canonical,
    decoded,
    folded,
    map_texts,
    may_be_encoded,
    plain_spelling,
    replaced,
    without_encoded,
)

_LINK_NAME = re.compile(r"(?:ur[il]|href|link)s?\Z")
#: Parts of a name that make a link personal, wherever it stands: `signingUrl`, `signee_link`, `invitationLinks`. The
#: list is wide: a link that is taken out can be had from the provider, one that was shown cannot be taken back.
_PERSONAL_PARTS = ("sign", "invit", "magic", "access", "attachment", "recipient")
#: Where people sign on to a service, which is the same for all of them.
_SIGN_ON = re.compile(r"singlesign(?:on|out)|sign(?:on|out)\Z")
#: Names under which a provider keeps people and files, whose members' `url` lets its holder sign or read.
_HOLDERS = ("signee", "signer", "attachment", "recipient", "invit")

_SHORTEST = 8  #: characters of a link that is searched for in other texts
_SHORTEST_PATH = 12  #: characters of its path that are searched for without its host
_SHORTEST_KEY = 3  #: characters of a key that is searched for within other texts
_FEW = 10  #: links and keys that are looked for one by one
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
    """Whether a name in a JSON value may be a link's. Without one, `without_links` leaves nothing out."""
    return any_object(value, names_have_links)


def without_links(value: Any, kinds: frozenset[str] = PERSONAL, links: list[str] | None = None) -> Any:
    """A copy of `value` without the members that are personal links, or links of people and files, at any depth.

    `links` receives the links in these members, which other texts may repeat; not texts that are too short for a link
    or have no slash, such as `none`."""
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            if (kind := _kind_of(name)) not in kinds:
                kept[name] = without_links(item, ALL_LINKS if kind == _HOLDER else kinds, links)
            elif links is not None:
                links += links_in(item)
        return kept
    return [without_links(item, kinds, links) for item in value] if isinstance(value, list) else value


def links_in(value: Any) -> Iterator[str]:
    """Yield the words with a slash in the texts of a JSON value, if long enough for a link."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from links_in(item)
    elif isinstance(value, str):
        for word in value.split():
            if "/" in word and len(link := word.rstrip(".,;:!?)>\"'")) >= _SHORTEST:
                yield link


class Secrets:
    """Links, in whose place stands `***`, and signing keys with what stands in the place of each. Falsy without any."""

    def __init__(self, links: Iterable[str] = (), keys: Mapping[str, str] | None = None) -> None:
        self._links, self._keys = list(filter(None, links)), keys or {}
        self._short_keys = {key: shown for key, shown in self._keys.items() if len(key.strip()) < _SHORTEST_KEY}
        # The longest first: of two keys, one may contain the other.
        longest = sorted(self._keys, key=len, reverse=True)[:_MAX_KEYS]
        self._long_keys = [key for key in longest if len(key) >= WITHIN]
        self._marks = _marks_of(self._links, self._keys)

    def __bool__(self) -> bool:
        return bool(self._links or self._keys)

    @cached_property
    def _words(self) -> Words:
        words = dict.fromkeys([word for link in self._links for word in _words_of(link)], MASK)
        words |= {canonical(key): shown for key, shown in self._keys.items() if key not in self._short_keys}
        return Words(words)

    def out_of_text(self, text: str) -> str:
        """The text without the links and keys, also where they stand without scheme, with an upper-case host,
        percent-encoded or escaped for HTML or JSON."""
        if text in self._short_keys:
            return self._short_keys[text]
        if "/" not in text:
            # Most repeat a key as it is, outside of a link; the search below takes ten times as long.
            for key in self._long_keys:
                if key in text:
                    text = text.replace(key, self._keys[key])
        if not self._may_be_in(text):
            return text
        plain = plain_spelling(text)
        if spans := self._words.spans(plain):
            text = plain = replaced(plain, spans)
        shown = without_encoded(plain, lambda found: bool(self._words.spans(found)))
        return text if shown == plain else shown

    def _may_be_in(self, text: str) -> bool:
        """False if the text certainly has no link and no key; takes a tenth of the time of making the words."""
        if self._marks is None:
            return True
        plain = folded(plain_spelling(text))
        return may_be_encoded(plain) or bool([mark for mark in self._marks if mark in plain])

    def are_in(self, texts: Iterable[object]) -> bool:
        """Whether `out_of_text` may change one of the texts, which are searched together; values of other kinds are
        left out."""
        if self._short_keys:
            return True
        joined = "\n".join([text for text in texts if isinstance(text, str)])
        return self.out_of_text(joined) != joined

    def out_of(self, value: Any) -> Any:
        """A copy of a JSON value without links and keys in its texts and names, at any depth."""
        return map_texts(value, self.out_of_text)


def _marks_of(links: Sequence[str], keys: Collection[str]) -> list[str] | None:
    """Return folded texts, one of which is in each text with a link or a key; None if these are many or unusual."""
    joined = "\n".join((*keys, *links)).casefold()
    marks = joined.split()
    if len(marks) != len(keys) + len(links) or len(marks) > _FEW or not joined.isascii() or may_be_encoded(joined):
        return None
    for place in range(len(keys), len(marks)):
        # All of `_words_of` contain the path, unless it is short.
        _, slash, path = marks[place].partition("://")[2].partition("/")
        if len(path) < _SHORTEST_PATH:
            return None
        marks[place] = slash + path
    return marks


def _words_of(link: str) -> Iterator[str]:
    """A link as others may repeat it: whole, without scheme, and its path alone where that is long enough."""
    for spelled in dict.fromkeys((link, decoded(link))):
        word = canonical(spelled)
        bare = word.partition("://")[2] or word.removeprefix("//")
        path = bare[bare.find("/") :] if "/" in bare else ""
        yield from (one for one in (word, bare, path if len(path) >= _SHORTEST_PATH else "") if one)
