"""The filters that the gateway judges itself, as far as the caller may see what they are judged on.

A filter on something hidden would tell it: who may ask whether a phone is in an event need not see the phone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from app.domain.caller import Caller
from app.domain.filters import event_filter, matches_text, matches_type
from app.domain.memoize import Memoized
from app.domain.query import Query
from app.domain.record import Record
from app.privacy.masking import MaskFunction, is_private_name, mask_for, private_leaves
from app.privacy.person_fields import is_person_name, pseudonymize_for
from app.privacy.pseudonyms import Pseudonyms
from app.providers.base import Source


def filter_for(query: Query, source: Source, caller: Caller, pseudonyms: Pseudonyms | None) -> Callable[[Record], bool]:
    """Whether a record of this source is let through. `pseudonyms`: what callers without `pii:read` see for people,
    and then ask by."""
    sees_all = caller.may("pii:read")
    disguise = None if sees_all else pseudonyms
    people = event_filter(query, None if disguise is None else disguise.of)
    wanted = query.q
    if wanted is not None and source.filters.get("q") == "native" and sees_all:
        wanted = None

    seen = _Seen(wanted, disguise) if wanted is not None and not sees_all else None

    def keeps(record: Record) -> bool:
        if not matches_type(query, record.type, record.provider_type) or record.key[2] in query.category_not:
            return False
        if people is not None and not people(record.event()):
            return False
        if wanted is None:
            return True
        return seen.says(record) if seen is not None else matches_text(wanted, (text for _, text in record.texts()))

    return keeps


class _Seen:
    """Whether `wanted` is in what a caller without `pii:read` sees of a record's texts. Records that share their texts
    and their private values, as those of one envelope may, are judged once."""

    def __init__(self, wanted: str, pseudonyms: Pseudonyms | None) -> None:
        self._wanted, self._pseudonyms = wanted, pseudonyms
        self._masks = Memoized(mask_for)
        self._disguises = None if pseudonyms is None else Memoized(partial(pseudonymize_for, pseudonyms=pseudonyms))
        # With the texts and the mask themselves, so that no others come to have their ids.
        self._judged: dict[tuple[int, int], tuple[object, MaskFunction, bool]] = {}

    def says(self, record: Record) -> bool:
        mask = self._masks.of(record.private_values(), [*private_leaves(record.event().data)])
        texts = record.texts()
        if not isinstance(texts, tuple):
            return matches_text(self._wanted, self._shown(record, texts, mask))
        held = self._judged.get((id(texts), id(mask)))
        if held is None:
            if len(self._judged) >= _MOST:
                self._judged.clear()
            found = matches_text(self._wanted, self._shown(record, texts, mask))
            held = self._judged[id(texts), id(mask)] = texts, mask, found
        return held[2]

    def _shown(self, record: Record, texts: Iterable[tuple[str, str]], mask: MaskFunction) -> Iterator[str]:
        pseudonyms = self._pseudonyms
        disguise = None if self._disguises is None else self._disguises.of(record.person_values())
        for name, text in texts:
            if is_private_name(name):
                continue
            if pseudonyms is None or disguise is None:
                yield mask(text)
            elif is_person_name(name):
                yield pseudonyms.of(text)
            else:
                yield disguise(mask(text))


_MOST = 1024  #: judgements that are kept
