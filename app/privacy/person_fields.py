"""Which words of an event are people's names and e-mail addresses, and pseudonyms in their place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.domain.memoize import memoize
from app.privacy.masking import MaskFunction, plain_spelling, words_of
from app.privacy.pseudonyms import MARK, Pseudonyms

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
#: Without going back over what was read, and from within a word (after a name that was found in it) no further than a
#: local part may be long: a vendor's text of a megabyte without an @ would else be read from each of its letters.
_EMAIL = rf"(?:(?<!{_LOCAL}){_LOCAL}++|{_LOCAL}{{1,64}}+)@[\w-]++(?:\.[\w-]+)+"

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
_SHORTEST = 2  #: characters of a name that is looked for in other texts
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


def pseudonymize_for(people: Iterable[str], pseudonyms: Pseudonyms) -> MaskFunction:
    """A function that puts pseudonyms for `people` (names and addresses), for the parts of their names, and for
    every e-mail address, in a text."""
    whole = {" ".join(plain_spelling(person).split()) for person in people if person}
    parts = {part for person in whole if "@" not in person for part in person.split() if len(part) >= _SHORTEST_PART}
    looked_for = sorted((one for one in whole | parts if len(one) >= _SHORTEST), key=len, reverse=True)
    named = [r"\s+".join(re.escape(word) for word in person.split()) for person in looked_for]
    # What is a pseudonym already stays one.
    patterns = [rf"{MARK}[a-z2-7]{{16}}(?!\w)", *(rf"(?<!\w){name}(?!\w)" for name in named), _EMAIL]
    pattern = re.compile("|".join(f"(?:{one})" for one in patterns), re.IGNORECASE)

    def replace(match: re.Match[str]) -> str:
        found = match[0]
        return found if found.startswith(MARK) and "@" not in found else pseudonyms.of(found)

    def disguise(text: str) -> str:
        plain = plain_spelling(text)
        disguised = pattern.sub(replace, plain)
        # As it was sent, unless somebody is in it.
        return text if disguised == plain else disguised

    return disguise
