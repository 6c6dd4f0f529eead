"""One page of `GET /events` from a client's view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

#: Query parameters, (name, value), in the API's own form.
Pairs = Sequence[tuple[str, str]]
Json = dict[str, Any]


class Page(msgspec.Struct, frozen=True):
    """Its `data`, `window`, `sources[]` and `warnings[]`."""

    events: list[Json]
    has_more: bool
    next_cursor: str | None
    window: Json
    sources: list[Json]
    warnings: Sequence[Json] = ()
