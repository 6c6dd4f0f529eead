"""Search and rewrite JSON values at any depth, and find JSON objects in texts. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from app.domain.text import memoize
from app.privacy.spelling import decodings

_DECODER = json.JSONDecoder(strict=False)
_ESCAPED_QUOTE = re.compile(r'\\+"')
_MAX_OBJECTS = 64  #: of one text that are tried
_CONTAINERS = frozenset({dict, list, tuple})


def has_json_text(values: Iterable[Any]) -> bool:
    """Whether a text in JSON values may contain a JSON object."""
    inside = list(values)
    for value in inside:
        kind = type(value)
        if kind is str:
            if "{" in value or "&" in value or "%" in value:
                return True
        elif kind is dict:
            inside += value.values()
        elif kind in _CONTAINERS:
            inside += value
    return False


def json_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in a text, also in an encoded or escaped one."""
    if not has_json_text((text,)):
        return
    for form in dict.fromkeys((text, _ESCAPED_QUOTE.sub('"', text), *decodings(text))):
        place = form.find("{")
        for _ in range(_MAX_OBJECTS):
            if place < 0:
                break
            try:
                value, end = _DECODER.raw_decode(form, place)
            except (ValueError, RecursionError):
                end = place + 1
            else:
                yield value
            place = form.find("{", end)


def any_object(value: Any, judge: Callable[[tuple[str, ...]], bool]) -> bool:
    """Whether `judge` is true of the names of an object in a JSON value, at any depth."""
    if type(value) is dict:
        if judge(tuple(value)):
            return True
        value = value.values()
    elif type(value) not in _CONTAINERS:
        return False
    for item in value:  # noqa: SIM110 - `any` takes three times as long
        if type(item) in _CONTAINERS and any_object(item, judge):
            return True
    return False


def names_in(values: Sequence[Any]) -> tuple[set[str], bool]:
    """Return the names of all objects in JSON values, at any depth, and whether one of the texts may contain a JSON
    object."""
    names, has_json, inside = set[str](), False, list[Any]([values])
    for value in inside:
        if type(value) is dict:
            names.update(value)
            value = value.values()
        for item in value:
            kind = type(item)
            if kind is str:
                has_json = has_json or "{" in item or "&" in item or "%" in item
            elif item and kind in _CONTAINERS:
                inside.append(item)
    return names, has_json


class Rewriter:
    """Rewrites JSON values: `text` each text and each name, `member` the text of a member, `number` its number."""

    text: Callable[[str], str]

    def member(self, text: str, _: str) -> str:
        return self.text(text)

    def number(self, value: float, _: str) -> Any:
        return value

    def value(self, value: Any, name: str = "") -> Any:
        """Return a rewritten copy of the JSON value of a member `name`."""
        kind = type(value)
        if kind is dict:
            # Most members are texts, and nearly all names unchanged.
            found = {
                one: self.member(item, one) if type(item) is str else self.value(item, one)
                for one, item in value.items()
            }
            names = self.names(tuple(value))
            return found if names is None else dict(zip(names, found.values(), strict=True))
        if kind is str:
            return self.member(value, name)
        if kind is list or kind is tuple:
            return [self.value(item, name) for item in value]
        return value if value is None or kind is bool else self.number(value, name)

    @cached_property
    def names(self) -> Callable[[tuple[str, ...]], list[str] | None]:
        """Return the rewritten names of an object: the same for all objects of one shape. None if unchanged."""

        def rewrite(names: tuple[str, ...]) -> list[str] | None:
            found = distinct([self.text(name) for name in names])
            return None if found == list(names) else found

        return memoize(rewrite)


def distinct(names: list[str]) -> list[str]:
    """Return the names in order, equal ones numbered: `***`, `*** 2`, `*** 3`."""
    if len(set(names)) == len(names):
        return names
    taken: set[str] = set()
    counts: dict[str, int] = {}
    found = []
    for name in names:
        free, count = name, counts.get(name, 1)
        while free in taken:
            count += 1
            free = f"{name} {count}"
        counts[name] = count
        taken.add(free)
        found.append(free)
    return found
