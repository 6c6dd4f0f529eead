"""Links that let their holder sign or read: which they are, and how they are taken out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from os.path import commonprefix
from typing import Any

from app.domain.memoize import memoize
from app.privacy.masking import MASK, distinct
from app.privacy.substring_index import SubstringIndex

_LINK_NAME = re.compile(r"(?:ur[il]|href|link)s?\Z")
#: What makes a link somebody's to use, wherever it stands: `signingUrl`, `signee_link`, `invitationLinks`. Rather one
#: too many: a link that is taken out can be had from the provider, one that was handed out cannot be taken back.
_SOMEBODYS = ("sign", "invit", "magic", "access", "attachment", "recipient")
#: Where people sign on to a service, which is the same for everybody.
_SIGN_ON = re.compile(r"singlesign(?:on|out)|sign(?:on|out)\Z")
#: Names under which a provider keeps people and files, whose members' `url` lets its holder sign or read.
_HOLDERS = ("signee", "signer", "attachment", "recipient", "invit")

_CONTAINERS = (dict, list, tuple)
_SHORTEST = 8  #: characters of a link that is looked for in other texts

#: What a member's name says of what is under it: a link that is a secret; a link that is one among people or files;
#: people or files. Anything else is "".
_SECRET, _LINK, _HOLDER = "secret", "link", "holder"


# The names are few and the same in every record, and each is judged thousands of times a page.
@memoize
def _kind_of(name: str) -> str:
    plain = re.sub(r"[^a-z]", "", name.lower())
    if (found := _LINK_NAME.search(plain)) is not None:
        stem = _SIGN_ON.sub("", plain[: found.start()])
        return _SECRET if any(part in stem for part in _SOMEBODYS) else _LINK
    return _HOLDER if any(part in plain for part in _HOLDERS) else ""


def is_secret_link(name: str) -> bool:
    """Whether what stands under a name is a link that is never handed out, wherever the name stands."""
    return _kind_of(name) == _SECRET


def _is_secret(kind: str, linked: bool) -> bool:
    return kind == _SECRET or (linked and kind == _LINK)


def has_links(value: Any, linked: bool = False) -> bool:
    """Whether `without_links` would leave anything out; quicker than it is. `linked`: it stands among people or
    files."""
    if isinstance(value, dict):
        for name, item in value.items():
            inside = linked
            if kind := _kind_of(name if isinstance(name, str) else str(name)):
                inside = linked or kind == _HOLDER
                if _is_secret(kind, inside):
                    return True
            # Most are texts.
            if type(item) is not str and isinstance(item, _CONTAINERS) and has_links(item, inside):
                return True
        return False
    return isinstance(value, _CONTAINERS) and any(has_links(item, linked) for item in value)


def without_links(value: Any, linked: bool = False) -> Any:
    """A copy of `value` without the members that are signing links, or links of people and files, at any depth."""
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            kind = _kind_of(str(name))
            inside = linked or kind == _HOLDER
            if not _is_secret(kind, inside):
                kept[name] = without_links(item, inside) if isinstance(item, _CONTAINERS) else item
        return kept
    if isinstance(value, _CONTAINERS):
        return [without_links(item, linked) for item in value]
    return value


def links_in(value: Any, linked: bool = False, secret: bool = False) -> Iterator[str]:
    """The links in the members that `without_links` leaves out, which must not be told elsewhere either; not what is
    too short to be one or has no slash, such as `none`."""
    if isinstance(value, dict):
        for name, item in value.items():
            kind = _kind_of(str(name))
            inside = linked or kind == _HOLDER
            yield from links_in(item, inside, secret or _is_secret(kind, inside))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from links_in(item, linked, secret)
    elif secret and isinstance(value, str):
        for word in value.split():
            if "/" in word and len(link := word.rstrip(".,;:!?)>\"'")) >= _SHORTEST:
                yield link


class Links:
    """Links, each to be taken out of texts that repeat it. Falsy where there are none."""

    __slots__ = ("_needles", "_sign", "all")

    def __init__(self, links: Iterable[str]) -> None:
        #: Each once, the longest first: one may begin with another, and would be left in part were that replaced
        #: before it.
        self.all = tuple(sorted({link for link in links if link}, key=len, reverse=True))
        # A text without it holds none of them.
        self._sign = commonprefix(self.all)  # noqa: RUF071 - texts, not paths
        self._needles = SubstringIndex(self.all)

    def __bool__(self) -> bool:
        return bool(self.all)

    def out_of_text(self, text: str) -> str:
        """`text` with `***` for each link."""
        if not self.all or self._sign not in text:
            return text
        found = self._needles.found_in(text)
        if found is None:
            return MASK
        for link in sorted(found, key=len, reverse=True):
            text = text.replace(link, MASK)
        return text

    def out_of(self, value: Any) -> Any:
        """A copy of `value` with `***` for each link in its texts and names, at any depth."""
        if isinstance(value, str):
            return self.out_of_text(value)
        if isinstance(value, dict):
            names = distinct([self.out_of_text(str(name)) for name in value])
            return dict(zip(names, (self.out_of(item) for item in value.values()), strict=True))
        if isinstance(value, (list, tuple)):
            return [self.out_of(item) for item in value]
        return value
