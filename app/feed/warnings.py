"""Warnings about filter values that can match nothing: most often a misspelt word (contract, section 3)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from app.domain.query import Query
from app.feed.model import Warned
from app.privacy.pseudonyms import MARK
from app.providers.base import Source, TypeMapping

_NEAR = 0.6  #: of difflib's ratio

#: Filters by a word, and what their values are called.
_WORDS = {"type": "type", "category": "category", "provider_type": "provider type"}


def warnings_of(query: Query, sources: Sequence[Source], mapping: Iterable[TypeMapping]) -> list[Warned]:
    """One for each value that no event of `sources` can have. `mapping`: the providers' rows, for the nearest value."""
    known = _known(mapping)
    found = []
    for name in ("type", "category", "envelope_id"):
        for value in getattr(query, name):
            if not _possible(sources, name, value):
                found.append(_warning(name, value, known.get(name, ())))
    for name in ("type", "category"):
        for value in getattr(query, f"{name}_not"):
            if not _possible(sources, name, value):
                found.append(_warning(f"{name}.not", value, known[name]))
    for name in ("provider_type", "provider_type_not"):
        for value in getattr(query, name):
            # The list is open: a new value of the provider is no mistake, one that is nearly a known one may be.
            if value not in known["provider_type"] and (near := _nearest(value, known["provider_type"])) is not None:
                message = f"{value} is not a known provider type; did you mean {near}?"
                found.append(Warned(name.replace("_not", ".not"), value, message, near))
    for name, values in (("actor", [query.actor]), ("owner", [query.owner]), ("actor.not", query.actor_not)):
        for address in values:
            if address is not None and "@" not in address and not address.startswith(MARK):
                message = f"{address} is not an e-mail address; person finds names, too"
                found.append(Warned(name, address, message))
    return found


def _possible(sources: Sequence[Source], name: str, value: str) -> bool:
    query = Query.model_validate({name: (value,)})
    return any(source.streams(query) for source in sources)


def _warning(name: str, value: str, known: Sequence[str]) -> Warned:
    if name == "envelope_id":
        return Warned(name, value, f"{value} is not an envelope id of these sources")
    what = _WORDS[name.removesuffix(".not")]
    if value in known:
        return Warned(name, value, f"{value} does not occur in these sources")
    near = _nearest(value, known)
    return Warned(name, value, f"{value} is not a known {what}{f'; did you mean {near}?' if near else ''}", near)


def _known(mapping: Iterable[TypeMapping]) -> Mapping[str, Sequence[str]]:
    rows = list(mapping)
    types = {row.type for row in rows} | {"unknown"}
    return {
        "type": sorted(types | {f"{type_.partition('.')[0]}.*" for type_ in types if "." in type_}),
        "category": sorted({row.category for row in rows}),
        "provider_type": sorted({row.provider_type for row in rows}),
    }


def _nearest(value: str, known: Sequence[str]) -> str | None:
    lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(value.lower(), lower, n=1, cutoff=_NEAR)
    return lower[near[0]] if near else None
