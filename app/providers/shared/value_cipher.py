"""Names and encryption for values outside of the gateway, made of its secret: replicas with the same secret share
them, and a reader or writer of the store learns and forges nothing."""

from __future__ import annotations

import base64
import hmac
import os

from app.paging.cipher import NONCE, Cipher

_DIGEST = 16  #: bytes


class ValueCipher:
    """Made of a secret of any length; the keys have nothing to do with those of cursors."""

    def __init__(self, secret: str) -> None:
        self._cipher = Cipher(secret, b"audit-gateway shared state 1")

    def digest(self, *parts: bytes | str) -> str:
        """26 letters and digits that stand for `parts`; nobody without the secret can try whether they are somebody."""
        mac = hmac.new(self._cipher.mac_key, digestmod="sha256")
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            mac.update(len(data).to_bytes(8) + data)
        return base64.b32encode(mac.digest()[:_DIGEST]).decode().rstrip("=").lower()

    def seal(self, key: str, value: bytes) -> bytes:
        """The value, encrypted; it opens under the same `key` only."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, value, key.encode())

    def open(self, key: str, sealed: bytes) -> bytes | None:
        """The value; None for whatever `seal` did not write for this key."""
        return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], key.encode())
