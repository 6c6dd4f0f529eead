"""Who is asking, and what they may see."""

from __future__ import annotations

import msgspec

#: Every scope there is (contract, section 8).
SCOPES = ("events:read", "pii:read", "raw:read", "sources:read", "metrics:read")


class Caller(msgspec.Struct, frozen=True):
    """`name` identifies the key in logs; `sources` None means all of them; `rate`, such as `600/minute`, None where the
    key has none of its own."""

    name: str
    scopes: frozenset[str]
    sources: frozenset[str] | None = None
    rate: str | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def may_read(self, source: str) -> bool:
        return self.sources is None or source in self.sources
