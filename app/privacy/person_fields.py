"""Find people's names and e-mail addresses, and put pseudonyms in their place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from app.domain.memoize import memoize
from app.privacy.private_names import words_of
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.replacer import MASK, MAX_TEXT, Span, WordReplacer, canonical, distinct, plain_spelling, replaced

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
#: Without backtracking: a text of a megabyte without an @ is read once.
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@[\w-]++(?:\.[\w-]+)+")

#: What has a name and is nobody.
_THINGS = frozenset(
    [
        "activity", "app", "application", "category", "client", "company", "document", "envelope", "event", "file",
        "flow", "host", "key", "organization", "process", "provider", "role", "scope", "sequence", "status", "team",
        "template", "type", "webhook", "workspace",
    ]
)  # fmt: skip
#: Names under which a person is mentioned in a single text.
_PEOPLE = frozenset(
    ["author", "owner", "user", "username", "sender", "signer", "signee", "recipient", "approver", "member", "invitee",
     "surname", "initials"]
)  # fmt: skip
_SHORTEST = 2  #: characters of a name that is searched for in other texts
_SHORTEST_PART = 3  #: characters of a part of a name, the same


@memoize
def is_person_name(name: str) -> bool:
    """Whether a text under a key of this name is a person's name or e-mail address: `email`, `name`, `firstName`,
    `createdBy`, `owner`, but not `fileName`."""
    words = words_of(name)
    if not words:
        return False
    joined = "".join(words)
    if "mail" in joined or joined in _PEOPLE or (words[-1] == "by" and len(words) > 1):
        return True
    return joined.endswith("name") and not _THINGS.intersection(words)


class PersonMask:
    """Puts pseudonyms for people (names and e-mail addresses), for the parts of their names, and for every e-mail
    address. The same person has the same pseudonym everywhere, so that events can still be joined by it."""

    def __init__(self, people: Iterable[str], pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        names = {" ".join(person.split()) for person in people}
        names |= {part for one in names if "@" not in one for part in one.split() if len(part) >= _SHORTEST_PART}
        words = {canonical(name): pseudonyms.of(name) for name in names if len(name) >= _SHORTEST}
        self._words = WordReplacer(words, within=MAX_TEXT)

    def text(self, text: str) -> str:
        """A text with pseudonyms for the people in it."""
        plain = plain_spelling(text)
        spans = self._words.spans(plain)
        if "@" in plain:
            spans += [Span(*match.span(), self._pseudonyms.of(match[0])) for match in _EMAIL.finditer(plain)]
        return replaced(plain, spans) if spans else text

    def person(self, text: str | None) -> str | None:
        """A name or an e-mail address, as one pseudonym."""
        return self._pseudonyms.of(text) if text and text != MASK else text

    def value(self, value: Any, name: str = "") -> Any:
        """A copy of a JSON value that stands under `name`."""
        if isinstance(value, str):
            return self.person(value) if is_person_name(name) else self.text(value)
        if isinstance(value, dict):
            names = distinct([self.text(member) for member in value])
            return dict(zip(names, (self.value(item, member) for member, item in value.items()), strict=True))
        if isinstance(value, (list, tuple)):
            return [self.value(item, name) for item in value]
        return value
