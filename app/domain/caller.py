"""Callers and their grants."""

from __future__ import annotations

import re

import msgspec

#: Every scope, and its grant (contract, section 8).
SCOPES = {
    "events:read": "events, with names and e-mail addresses (pseudonyms where GATEWAY_PSEUDONYMIZE is set)",
    "pii:read": "national ids, phone numbers, addresses and descriptions, which are *** without it",
    "raw:read": "include=raw: each event's record as the provider delivered it",
    "sources:read": "GET /sources: the sources, their filters and health",
    "metrics:read": "GET /metrics",
}


#: A caller's rate, such as 600/minute.
RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour|day)\Z")


class Caller(msgspec.Struct, frozen=True):
    """`name` identifies the key in logs; `sources` None means all of them; `rate`, such as `600/minute`, None where the
    key has none of its own; `kind` is `key`, `token` or `none` (authentication is off); `expires` in µs."""

    name: str
    scopes: frozenset[str]
    sources: frozenset[str] | None = None
    rate: str | None = None
    kind: str = "key"
    expires: int | None = None

    def may_read(self, source: str) -> bool:
        return self.sources is None or source in self.sources
