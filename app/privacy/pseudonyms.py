"""Replace people by keyed hashes: equal for equal people, not reversible without the key. Pure."""

from __future__ import annotations

import base64
import hmac
import re
import unicodedata
from collections.abc import Iterable

from app.domain.text import memoize
from app.privacy.json_values import Rewriter
from app.privacy.person_fields import is_person_name
from app.privacy.replacer import MASK, MAX_TEXT, Span, Words, rewritten

_INFO = b"audit-gateway pseudonyms 1"
_BYTES = 10  #: of the hash that are shown: 80 bits, no two of a million people are likely to share them
MARK = "~"  #: what every pseudonym begins with

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
#: Without backtracking: a text of a megabyte without an @ is read once.
_EMAIL = re.compile(rf"(?<!{_LOCAL}){_LOCAL}++@[\w-]++(?:\.[\w-]+)+")
_SHORTEST = 2  #: characters of a name that is searched for in other texts
_SHORTEST_PART = 3  #: characters of a part of a name, the same


class Pseudonyms:
    """Pseudonyms by a secret: replicas with the same secret give a person the same one."""

    def __init__(self, secret: str) -> None:
        key = hmac.digest(secret.encode("utf-8", "surrogatepass"), _INFO, "sha256")

        def of(value: str) -> str:
            digest = hmac.digest(key, value.encode("utf-8", "surrogatepass"), "sha256")[:_BYTES]
            return MARK + base64.b32encode(digest).decode().lower()

        self._of = memoize(of, 16_384)

    def of(self, value: str) -> str:
        """Return `~` and sixteen letters or digits, equal for all spellings by letter case, accents and blanks."""
        return self._of(" ".join(unicodedata.normalize("NFKC", value).casefold().split()))


class PersonMask(Rewriter):
    """Replace people (names and e-mail addresses), the parts of their names, and every e-mail address by pseudonyms. A
    person has the same pseudonym everywhere, so that events can be joined by it."""

    def __init__(self, people: Iterable[str], pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        names = {" ".join(person.split()) for person in people}
        names |= {part for one in names if "@" not in one for part in one.split() if len(part) >= _SHORTEST_PART}
        words = {name: pseudonyms.of(name) for name in sorted(names) if len(name) >= _SHORTEST and name != MASK}
        self._words = Words(words, within=MAX_TEXT)

    def text(self, text: str) -> str:
        """Return the text with pseudonyms for the people in it."""
        return rewritten(text, self._spans)

    def _spans(self, plain: str) -> list[Span]:
        spans = self._words.spans(plain)
        if "@" in plain:
            spans += [Span(*match.span(), self._pseudonyms.of(match[0])) for match in _EMAIL.finditer(plain)]
        return spans

    def person(self, text: str | None) -> str | None:
        """Return the pseudonym of a name or an e-mail address."""
        return self._pseudonyms.of(text) if text and text != MASK else text

    def member(self, text: str, name: str) -> str:
        return (self.person(text) or "") if is_person_name(name) else self.text(text)
