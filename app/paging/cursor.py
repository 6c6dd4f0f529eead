"""Cursors: the whole state of a walk, sealed.

A cursor holds the filters, the window, the sources and where each stream stands, so that any replica with the secret
goes on where another stopped. AES-GCM-SIV keeps it from being read or changed. The nonce is derived from the
plaintext, which makes sealing deterministic: the same page gives the same cursor on every replica, and equal
plaintexts are all that equal cursors give away.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from app.domain.errors import InvalidCursor
from app.domain.parameter_types import Included
from app.domain.query import Query

if TYPE_CHECKING:
    from app.paging.cipher import Cipher

FORMAT = 2
_NONCE = 12  #: bytes
_COMPRESS_FROM = 512
_MAX_PLAIN = 1_048_576  #: bytes; fifty envelopes are read as so many streams of each source, each by its name

_START_OVER = "start over without a cursor"


class StreamState(msgspec.Struct, array_like=True, omit_defaults=True):
    """Where one stream stands. `position` None: at the walk's common position. `done`: nothing of it is left. `share`:
    of a thousand records of the last page, how many were its own; -1 where that is not known. `refused`: the provider
    has not let us read it."""

    position: list[Any] | None = None
    hint: list[int] | None = None
    done: bool = False
    share: int = -1
    refused: bool = False


class CursorState(msgspec.Struct, array_like=True, omit_defaults=True):
    """All that a page needs to know of the pages before it. Times in µs. `ago`: the durations that `since` and `until`
    were written as."""

    query: Query
    since: int
    until: int | None
    limit: int
    include: tuple[Included, ...]
    partial: bool
    position: list[Any]
    sources: dict[str, dict[str, StreamState]]
    ago: tuple[int | None, int | None] = (None, None)


class CursorCodec:
    """Seals and opens cursors. The first secret seals, all of them open."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("a sealer needs at least one secret")
        self._secrets = secrets

    @cached_property
    def _ciphers(self) -> list[Cipher]:
        from app.paging.cipher import Cipher

        return [Cipher(secret, b"audit-gateway cursor") for secret in self._secrets]

    def seal(self, state: CursorState) -> str:
        """URL-safe text, the same for the same state and secret."""
        plain = msgspec.msgpack.encode(state, enc_hook=_filters)
        plain = b"z" + zlib.compress(plain, 6) if len(plain) > _COMPRESS_FROM else b"p" + plain
        cipher = self._ciphers[0]
        nonce = hmac.digest(cipher.mac_key, plain, "sha256")[:_NONCE]
        sealed = bytes((FORMAT,)) + nonce + cipher.encrypt(nonce, plain, bytes((FORMAT,)))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, text: str) -> CursorState:
        """Raises InvalidCursor for anything that `seal` did not write with one of the secrets."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _not_ours() from None
        # base64 has several spellings of the same bytes; only the one that was handed out is good.
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            raise _not_ours()
        if raw[:1] != bytes((FORMAT,)):
            raise InvalidCursor(f"the cursor is of a format that this version does not read; {_START_OVER}")
        nonce, sealed = raw[1 : 1 + _NONCE], raw[1 + _NONCE :]
        for cipher in self._ciphers:
            if (plain := cipher.decrypt(nonce, sealed, raw[:1])) is not None:
                return _decode(plain)
        raise _not_ours()


def _not_ours() -> InvalidCursor:
    return InvalidCursor(
        f"the cursor was changed on its way, or sealed with another GATEWAY_CURSOR_SECRET; send next_cursor"
        f" exactly as it was given, or {_START_OVER}"
    )


def _decode(plain: bytes) -> CursorState:
    try:
        body = plain[1:]
        if plain[:1] == b"z":
            body = zlib.decompressobj().decompress(body, _MAX_PLAIN)
        return msgspec.msgpack.decode(body, type=CursorState, dec_hook=_query)
    except (msgspec.MsgspecError, zlib.error, ValueError, TypeError):
        raise InvalidCursor(f"the cursor is of a format that this version does not read; {_START_OVER}") from None


def _filters(query: Query) -> dict[str, Any]:
    return query.model_dump(exclude_defaults=True)


def _query(_: type, filters: dict[str, Any]) -> Query:
    return Query(**filters)
