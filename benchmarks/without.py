"""The cost of each promise about events: the functions for it are replaced by empty ones.

`python -m benchmarks.without serve …` runs `audit-gateway serve` without promises for the provider WITHOUT.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from app.domain.event import Actor, Envelope
from app.paging.event_id import IdPrefix
from app.privacy.links import Secrets
from app.privacy.redaction import Redactor
from app.providers.subnoto import mapping
from app.providers.subnoto import record as subnoto_record
from app.providers.taktikal.process_parts import ProcessParts
from app.providers.taktikal.wire import Process

ALL = "all three"
_SYSTEM = Actor("system")
Function = tuple[Any, str, object]  #: an object, its attribute, and the replacement


def _events(self: Redactor, records: list[Any]) -> list[Any]:
    return [record.event() for record in records]


#: By provider and promise, the replaced functions.
_PROMISES: dict[str, dict[str, list[Function]]] = {
    "taktikal": {
        "stable ids": [(IdPrefix, "encode", lambda self, end: "")],
        "search for signing links": [
            (Process, "secrets", Secrets()),
            (ProcessParts, "hidden", lambda self, text: text or None),
            (ProcessParts, "_search_descriptions", lambda self: {one: one for entry in self.entries
                                                                 if (one := entry.description)}),
            (Redactor, "events", _events),
        ],
        "joined people and envelopes": [(ProcessParts, "name", lambda self, *_: (_SYSTEM, Envelope(""), None))],
    },
    "subnoto": {
        "stable ids": [
            (subnoto_record, "_digest", lambda *_: b""),
            (subnoto_record, "encode_event_id", lambda *_: ""),
        ],
        "search for signing links": [(Redactor, "events", _events)],
        "joined people and envelopes": [
            (mapping, "recipient_of", lambda data: None),
            (mapping, "actor_of", lambda *_: _SYSTEM),
            (mapping, "envelope_of", lambda *_: None),
            (mapping, "target_of", lambda *_: None),
        ],
    },
}  # fmt: skip


@contextmanager
def without(provider: str, promise: str) -> Iterator[None]:
    """Break one promise, or ALL, until the end of the block."""
    promises = _PROMISES[provider]
    with ExitStack() as replaced:
        for functions in promises.values() if promise == ALL else [promises[promise]]:
            for owner, name, replacement in functions:
                replaced.enter_context(patch.object(owner, name, replacement))
        yield


def variants(provider: str, work: Callable[[], object]) -> dict[str, Callable[[], object]]:
    """Return `work` without each promise about a provider's events, and without all of them."""

    def broken(promise: str) -> object:
        with without(provider, promise):
            return work()

    return {name: lambda name=name: broken(name) for name in (*_PROMISES[provider], ALL)}  # type: ignore[misc]


if __name__ == "__main__":
    from app.cli.main import main

    with without(os.environ["WITHOUT"], ALL):
        main()
