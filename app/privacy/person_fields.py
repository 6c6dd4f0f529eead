"""Which members of a JSON object are about people, by the members' names. Pure.

*Private* are phones, national ids and addresses. *Personal* are names and e-mail addresses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from app.domain.text import memoize, without_accents
from app.privacy.json_values import any_object, json_in
from app.privacy.replacer import MASK

#: Words of a name under which a phone, a national id or an address stands, whatever the value looks like.
_PRIVATE_WORDS = frozenset([
    "tel", "telno", "gsm", "mob", "fax", "ssn", "idnumber", "taxid", "kt", "cpr", "passport", "street", "city", "town",
    "zip", "postal", "latitude", "longitude", "mobil", "tlf", "tlfnr", "gata", "fnr", "pnr", "personnr", "hetu",
    "pesel", "isikukood", "bsn", "nir", "nif", "dni", "curp", "rut", "addr", "cell", "whatsapp",
])  # fmt: skip
#: The same, where a name is written as one word or as several.
_PRIVATE_PARTS = (
    "phone", "mobile", "msisdn", "smsnumber", "cellnumber", "gsmnumber", "telnumber", "contactnumber", "kennitala",
    "nationalid", "nationalnumber", "nationalregistration", "personalid", "personalnumber", "personalcode",
    "personnumber", "personnummer", "identitynumber", "identitycode", "identificationnumber", "identificationcode",
    "citizenid", "civilid", "socialid", "socialsecurity", "taxnumber", "postalcode", "postcode", "zipcode",
    "address", "telefon", "puhelin", "simanumer", "adresse", "gatuadress", "heimilisfang", "postnumer", "postnummer",
    "fodselsnummer", "foedselsnummer", "henkilotunnus", "osoite", "cellular", "idcard", "civicregistration",
    "codicefiscale", "steuerid", "steuernummer", "driverlicense", "driverslicense", "drivinglicence",
)  # fmt: skip
#: Words one after another, where the same letters also stand in other names, such as `gridNumber`.
_PRIVATE_PHRASES = (" id number ", " tax id ", " tel no ")
_PRIVATE_ENDINGS = ("ssn", "ssns", "simi")
#: The last two letters of all these: few other letters before a number need a closer look. Not of `zip`, whose numbers
#: are short: every `ip` ends with them.
PRIVATE_ENDS = frozenset(
    name.strip()[-2:].encode() for name in (*_PRIVATE_WORDS, *_PRIVATE_PARTS, *_PRIVATE_PHRASES, *_PRIVATE_ENDINGS)
) - {b"ip"}
#: An e-mail address identifies a person, but is not a private address.
_EMAIL_PARTS = re.compile(r"email(?:add?ress(?:es?)?)?|mailadd?ress(?:es?)?")

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

#: Members that name another member, as in `{"field": "phone", "old": "…", "new": "…"}`: all others are its values.
_FIELD_WORDS = frozenset(["field", "attribute", "property", "column", "path", "param", "parameter"])
#: Members that may do so, and the names of the values that then stand beside them.
_LABEL_WORDS = frozenset(["key", "name", "type", "kind", "label", "changed", "item", "what"])
_VALUE_WORDS = frozenset([
    "old", "new", "value", "values", "from", "to", "before", "after", "previous", "prev", "current", "original",
    "number", "text", "content", "was", "is",
])  # fmt: skip
_LONGEST_LABEL = 64  #: characters of a text that may name a member
_SHORTEST = 3  #: characters of a private value that is searched for in other texts


#: Members that may name another one, each with the members that are private where it names a private one.
Labels = tuple[tuple[str, frozenset[str]], ...]

#: Words of things that have a name and are no person.
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


def words_of(name: str) -> list[str]:
    """Return the words of a name such as `phone_number` or `phoneNumber`, in lower case and without accents."""
    return [word.lower() for word in _WORDS.findall(without_accents(name))]


@memoize
def is_person_name(name: str) -> bool:
    """Whether members of this name are a person's name or e-mail address: `email`, `name`, `firstName`, `createdBy`,
    `owner`, but not `fileName`."""
    words = words_of(name)
    if not words:
        return False
    joined = "".join(words)
    if "mail" in joined or joined in _PEOPLE or (words[-1] == "by" and len(words) > 1):
        return True
    return joined.endswith("name") and not _THINGS.intersection(words)


@memoize
def is_private_name(name: str) -> bool:
    """Whether members of this name are phones, national ids or addresses."""
    words = words_of(name)
    # The rest of a name counts: `emailOrPhone` may hold a phone.
    joined = _EMAIL_PARTS.sub(" ", "".join(words))
    phrase = f" {' '.join(words)} "
    return (
        any(word in _PRIVATE_WORDS or word.endswith(_PRIVATE_ENDINGS) for word in words)
        or any(part in joined for part in _PRIVATE_PARTS)
        or any(part in phrase for part in _PRIVATE_PHRASES)
    )


def private_members(value: Mapping[str, Any]) -> Collection[str]:
    """Return the names of an object's private members."""
    private, labels = private_names(tuple(value))
    for label, siblings in labels:
        text = value[label]
        if isinstance(text, str) and len(text) <= _LONGEST_LABEL and is_private_name(text):
            private |= siblings
    return private


@memoize
def private_names(names: tuple[str, ...]) -> tuple[frozenset[str], Labels]:
    """Return the private members of an object with these names, and its labels."""
    words = {name: frozenset(words_of(name)) for name in names}
    labels = []
    for name, found in words.items():
        if found & _FIELD_WORDS:
            labels.append((name, frozenset(one for one in words if not words[one] & (_FIELD_WORDS | _LABEL_WORDS))))
        elif found & _LABEL_WORDS:
            labels.append((name, frozenset(one for one in words if one != name and words[one] & _VALUE_WORDS)))
    return frozenset(filter(is_private_name, words)), tuple((name, siblings) for name, siblings in labels if siblings)


@memoize
def names_have_private(names: tuple[str, ...]) -> bool:
    """Whether an object with these names has private members or labels."""
    return any(private_names(names))


def has_private(*values: Any) -> bool:
    """Whether JSON values may have private members, except in JSON texts."""
    for value in values:  # noqa: SIM110 - `any` takes three times as long
        if value and any_object(value, names_have_private):
            return True
    return False


def hidden(value: Any, found: list[str]) -> Any:
    """Return a copy of a JSON value with `***` for its private members at any depth. `found` receives their texts and
    numbers, which other texts may repeat, and those of JSON in texts."""
    if isinstance(value, dict):
        private = private_members(value)
        return {
            name: _whole(item, name, found) if name in private else hidden(item, found) for name, item in value.items()
        }
    if isinstance(value, str):
        for inner in json_in(value):
            hidden(inner, found)
        return value
    return [hidden(item, found) for item in value] if isinstance(value, (list, tuple)) else value


def private_leaves(value: Any) -> list[str]:
    """Return the texts and numbers of private members at any depth."""
    found: list[str] = []
    hidden(value, found)
    return found


def _whole(value: Any, name: str, found: list[str]) -> Any:
    """Return `***`; null, true, false and empty values are unchanged."""
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    # `emailOrPhone` may hold an e-mail address, which other fields show.
    if not (isinstance(value, str) and "@" in value and _EMAIL_PARTS.search(name.lower())):
        found += (text for text in leaves(value) if len(text) >= _SHORTEST)
    return MASK


def leaves(value: Any) -> Iterator[str]:
    """Yield the texts and numbers of a JSON value."""
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    elif isinstance(value, str):
        yield value.strip()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield plain_number(value)


def plain_number(value: float) -> str:
    """Return the number without sign and without a fraction of zero: `5551234` for `-5551234.0`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(abs(value))
