"""Signed export manifests, against which a file can be verified later.

Each response of `GET /events/export` is one *segment*. Its last line contains a manifest over all bytes before that
line. An export that continues with the cursor of a last line is the next segment of the same file: `resumed_from` of
its manifest equals `next` of the previous one. Detects changed, shortened and spliced files
(`tests/evidence/test_verify.py`).
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from app.evidence.signing import SigningKey

VERSION = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The signed content. Times are RFC 3339 in UTC; digests are SHA-256 in hexadecimal.

    `sha256`: of all bytes of the segment before its last line. `resumed_from`, `next`: digests of the cursor that the
    segment continues from and of its own cursor; None at the export's beginning and end.
    """

    version: int = VERSION
    format: str
    count: int
    first_id: str | None
    last_id: str | None
    window: dict[str, str | None]
    filters: dict[str, Any]
    order: str
    sources: list[dict[str, Any]]
    as_of: str
    complete: bool
    sha256: str
    resumed_from: str | None
    next: str | None


def digest_of(cursor: str | None) -> str | None:
    """Return the digest of a cursor for a manifest."""
    return None if cursor is None else hashlib.sha256(cursor.encode()).hexdigest()


class Segment:
    """Count and digest of the bytes sent so far in one response."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.count = 0
        self.first_id: str | None = None
        self.last_id: str | None = None

    def add(self, data: bytes, ids: list[str]) -> None:
        """Record sent bytes, before compression, and the ids of their events."""
        self._sha256.update(data)
        self.count += len(ids)
        if ids:
            self.first_id = self.first_id or ids[0]
            self.last_id = ids[-1]

    def sign(self, key: SigningKey, **rest: Any) -> str:
        """Return the manifest as a compact JWS. `rest` are the manifest's other members."""
        manifest = Manifest(
            count=self.count,
            first_id=self.first_id,
            last_id=self.last_id,
            sha256=self._sha256.hexdigest(),
            **rest,
        )
        return key.sign(msgspec.json.encode(manifest))
