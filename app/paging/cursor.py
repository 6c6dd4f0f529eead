"""Cursors: the whole state of a walk, encrypted.

A cursor contains the filters, the window, the sources and the position of each stream, so that any replica with the
secret can continue. AES-GCM-SIV prevents reading and changing it. The nonce is derived from the plaintext, so sealing
is deterministic: equal pages have equal cursors on every replica, and cursors reveal only whether plaintexts are equal.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.domain.errors import InvalidCursor
from app.domain.parameters import Included
from app.domain.query import Query, Window

FORMAT = 2
NONCE = 12  #: bytes
_COMPRESS_FROM = 512
_MAX_PLAIN = 1_048_576  #: bytes; fifty envelopes are read as so many streams of each source, each by its name

_START_OVER = "start over without a cursor"


class StreamState(msgspec.Struct, array_like=True, omit_defaults=True):
    """State of one stream. `position` None: the walk's common position. `done`: no records left. `share`: its part of
    the last page's records, in thousandths; -1 if unknown. `refused`: the provider refused access."""

    position: tuple[Any, ...] | None = None
    hint: list[int] | None = None
    done: bool = False
    share: int = -1
    refused: bool = False


class WalkState(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """State of a walk before a page: what a cursor contains. Times in µs. `position` is that of all streams but those
    with a position of their own in `sources`, which has each source to read, and the streams read so far. `ago`: the
    durations that `since` and `until` were written as. `gaps`: why the pages so far may lack events."""

    query: Query
    since: int
    until: int | None
    limit: int
    include: tuple[Included, ...]
    partial: bool
    position: tuple[Any, ...]
    sources: Mapping[str, Mapping[str, StreamState]]
    ago: tuple[int | None, int | None] = (None, None)
    gaps: tuple[str, ...] = ()

    @property
    def window(self) -> Window:
        return Window(self.since, self.until)


class Cipher:
    """AES-GCM-SIV, which tolerates repeated nonces, by a secret of any length, independent for each purpose. `mac_key`:
    32 bytes for digests. `encrypt(nonce, plain, beside)`: `decrypt` needs the same associated data `beside`."""

    def __init__(self, secret: str, purpose: bytes) -> None:
        material = HKDF(SHA256(), 64, salt=None, info=purpose).derive(secret.encode("utf-8", "surrogatepass"))
        self._aes, self.mac_key = AESGCMSIV(material[:32]), material[32:]
        self.encrypt = self._aes.encrypt

    def decrypt(self, nonce: bytes, sealed: bytes, beside: bytes) -> bytes | None:
        """Return the plaintext, or None if `encrypt` did not create this ciphertext."""
        try:
            return self._aes.decrypt(nonce, sealed, beside)
        except (InvalidTag, ValueError):
            return None


class CursorCodec:
    """Seal and open cursors. The first secret encrypts, all decrypt."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("a sealer needs at least one secret")
        self._ciphers = [Cipher(secret, b"audit-gateway cursor") for secret in secrets]

    def seal(self, state: WalkState) -> str:
        """Return URL-safe text, equal for equal state and secret."""
        plain = msgspec.msgpack.encode(state, enc_hook=_filters)
        plain = b"z" + zlib.compress(plain, 6) if len(plain) > _COMPRESS_FROM else b"p" + plain
        cipher = self._ciphers[0]
        nonce = hmac.digest(cipher.mac_key, plain, "sha256")[:NONCE]
        sealed = bytes((FORMAT,)) + nonce + cipher.encrypt(nonce, plain, bytes((FORMAT,)))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, text: str) -> WalkState:
        """Return the state. Raises InvalidCursor for text that `seal` did not create with one of the secrets."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _not_ours() from None
        # base64 has several encodings of the same bytes; accept only the canonical one.
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            raise _not_ours()
        if raw[:1] != bytes((FORMAT,)):
            raise InvalidCursor(f"the cursor is of a format that this version does not read; {_START_OVER}")
        nonce, sealed = raw[1 : 1 + NONCE], raw[1 + NONCE :]
        for cipher in self._ciphers:
            if (plain := cipher.decrypt(nonce, sealed, raw[:1])) is not None:
                return _decode(plain)
        raise _not_ours()


def _not_ours() -> InvalidCursor:
    return InvalidCursor(
        f"the cursor was changed on its way, or sealed with another GATEWAY_CURSOR_SECRET; send next_cursor"
        f" exactly as it was given, or {_START_OVER}"
    )


def _decode(plain: bytes) -> WalkState:
    try:
        body = plain[1:]
        if plain[:1] == b"z":
            body = zlib.decompressobj().decompress(body, _MAX_PLAIN)
        return msgspec.msgpack.decode(body, type=WalkState, dec_hook=_query)
    except (msgspec.MsgspecError, zlib.error, ValueError, TypeError):
        raise InvalidCursor(f"the cursor is of a format that this version does not read; {_START_OVER}") from None


def _filters(query: Query) -> dict[str, Any]:
    return query.model_dump(exclude_defaults=True)


def _query(_: type, filters: dict[str, Any]) -> Query:
    return Query(**filters)
