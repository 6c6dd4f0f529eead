"""Keyed hashes in the place of people: equal for equal people, and no way back without the key. Pure."""

from __future__ import annotations

import base64
import hmac
import unicodedata

from app.domain.memoize import memoize

_INFO = b"audit-gateway pseudonyms 1"
_BYTES = 10  #: of the hash that are shown: 80 bits, no two of a million people are likely to share them
MARK = "~"  #: what every pseudonym begins with


class Pseudonyms:
    """Made of a secret: every replica that has it gives the same person the same name."""

    def __init__(self, secret: str) -> None:
        key = hmac.digest(secret.encode("utf-8", "surrogatepass"), _INFO, "sha256")

        def of(value: str) -> str:
            digest = hmac.digest(key, value.encode("utf-8", "surrogatepass"), "sha256")[:_BYTES]
            return MARK + base64.b32encode(digest).decode().lower()

        self._of = memoize(of, 16_384)

    def of(self, value: str) -> str:
        """`~` and sixteen letters or digits. Letter case, the way of writing accents and spaces around or between make
        no difference: they make none between two mentions of a person."""
        return self._of(" ".join(unicodedata.normalize("NFKC", value).casefold().split()))
