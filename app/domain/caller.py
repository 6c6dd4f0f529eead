"""Who is asking, and what they may see."""

from __future__ import annotations

import re

import msgspec

#: Every scope there is (contract, section 8).
SCOPES = ("events:read", "pii:read", "raw:read", "sources:read", "metrics:read")


#: What a caller's rate looks like: 600/minute.
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

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def may_read(self, source: str) -> bool:
        return self.sources is None or source in self.sources
