"""Warnings about filter values that can match nothing: most often a misspelt word (contract, section 3)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from app.domain.query import Filters, Query, covers
from app.domain.text import fold
from app.feed.model import ValueWarning
from app.privacy.pseudonyms import MARK
from app.providers.base import Source, TypeMapping

_NEAR = 0.6  #: of difflib's ratio

#: Filters by a word, and what their values are called.
_WORDS = {"type": "type", "category": "category", "provider_type": "provider type", "source": "source"}

#: Filters that may leave nothing together.
_TOGETHER = (
    "owner", "envelope_status", "category", "type", "provider_type", "envelope_id", "workspace_id", "category_not",
    "type_not", "provider_type_not",
)  # fmt: skip


def warnings_of(
    query: Query, sources: Sequence[Source], granted: Sequence[str], mapping: Mapping[str, Sequence[TypeMapping]]
) -> list[ValueWarning]:
    """One for each value that no event of `sources` can have. `granted`: the names of the sources that the caller may
    read; `mapping`: each provider's rows, for the nearest value."""
    if all(getattr(query, name) in (None, ()) for name in Filters.model_fields):
        return []  # the tables below take 60 µs, a part of each warm page
    rows = [row for rows in mapping.values() for row in rows]
    known = known_values(rows)
    found = []
    for name in ("type", "category", "envelope_id", "type_not", "category_not"):
        for value in getattr(query, name):
            if not _possible(sources, plain := name.removesuffix("_not"), (value,)):
                found.append(_warning(name.replace("_not", ".not"), value, known.get(plain, ())))
    if (workspace := query.workspace_id) is not None and not _possible(sources, "workspace_id", workspace):
        found.append(ValueWarning("workspace_id", workspace, f"{workspace} is not a workspace id of these sources"))
    anywhere = _patterns(rows)
    here = _patterns(row for source in sources for row in mapping.get(source.provider, ()))
    for name in ("provider_type", "provider_type_not"):
        for value in getattr(query, name):
            # The lists are open: a value without a row is read, and matches where a provider has added it.
            if sources and not _is_mapped(value, here):
                words = [value] if _is_mapped(value, anywhere) else known["provider_type"]
                found.append(_warning(name.replace("_not", ".not"), value, words))
    for value in query.source_not:
        if value not in granted:
            found.append(_warning("source.not", value, granted))
    for name, values in (("actor", [query.actor]), ("owner", [query.owner]), ("actor.not", query.actor_not)):
        for address in values:
            if address is not None and "@" not in address and not address.startswith(MARK):
                message = f"{address} is not an e-mail address; person finds names, too"
                found.append(ValueWarning(name, address, message))
    if (recipient := query.recipient) is not None and "@" not in recipient and " " in recipient:
        message = f"{recipient} is neither a recipient id nor an e-mail address; person finds names, too"
        found.append(ValueWarning("recipient", recipient, message))
    people = [(name, getattr(query, name) or "") for name in ("actor", "owner", "recipient", "person")]
    for name, address in [*people, *(("actor.not", address) for address in query.actor_not)]:
        if address.count("@") > 1 and any(separator in address for separator in ",;"):
            found.append(ValueWarning(name, address, f"{address} is more than one e-mail address; send one"))
    excluded = [("type", value) for value in query.type if any(covers(one, value) for one in query.type_not)]
    for name in ("category", "provider_type"):
        excluded += [(name, value) for value in getattr(query, name) if value in getattr(query, f"{name}_not")]
    if query.actor is not None and fold(query.actor) in map(fold, query.actor_not):
        excluded.append(("actor", query.actor))
    found += [ValueWarning(name, value, f"{value} is excluded by {name}.not") for name, value in excluded]
    if sources and not found and not any(source.streams(query) for source in sources):
        # Each value is possible, but no event has all of them.
        given = [name for name in _TOGETHER if getattr(query, name) not in (None, ())]
        for name in given[::-1]:
            rest = query.model_copy(update={name: Query.model_fields[name].default})
            if len(given) > 1 and not any(source.streams(rest) for source in sources):
                given.remove(name)  # the others leave nothing, too
                query = rest
        if given:
            value, names = getattr(query, given[-1]), [name.replace("_not", ".not") for name in given]
            shown = value if isinstance(value, str) else ", ".join(value)
            found.append(ValueWarning(names[-1], shown, f"no event of these sources passes {' and '.join(names)}"))
    return found


def _possible(sources: Sequence[Source], name: str, value: str | tuple[str, ...]) -> bool:
    query = Query.model_validate({name: value})
    return any(source.streams(query) for source in sources)


def _patterns(rows: Iterable[TypeMapping]) -> tuple[frozenset[str], frozenset[str]]:
    """The provider types of the rows, and the ends of those with a `*` before them (`:delivered`), casefolded."""
    types = {row.provider_type for row in rows}
    return frozenset(types), frozenset(type_[1:].casefold() for type_ in types if type_.startswith("*"))


def _is_mapped(value: str, patterns: tuple[frozenset[str], frozenset[str]]) -> bool:
    exact, ends = patterns
    return value in exact or any(len(value) > len(end) and value.casefold().endswith(end) for end in ends)


def _warning(name: str, value: str, known: Sequence[str]) -> ValueWarning:
    if name == "envelope_id":
        return ValueWarning(name, value, f"{value} is not an envelope id of these sources")
    what = _WORDS[name.removesuffix(".not")]
    if value in known:
        return ValueWarning(name, value, f"{value} does not occur in these sources")
    lower = {one.lower(): one for one in known}
    near = next((lower[one] for one in difflib.get_close_matches(value.lower(), lower, n=1, cutoff=_NEAR)), None)
    return ValueWarning(name, value, f"{value} is not a known {what}{f'; did you mean {near}?' if near else ''}", near)


def known_values(rows: Sequence[TypeMapping]) -> dict[str, Sequence[str]]:
    """Return the values of each parameter in the providers' rows."""
    types = {row.type for row in rows} | {"unknown"}
    return {
        "type": sorted(types | {f"{type_.partition('.')[0]}.*" for type_ in types if "." in type_}),
        "category": sorted({row.category for row in rows}),
        "provider_type": sorted({row.provider_type for row in rows}),
    }
