"""Names and encryption of values outside the gateway, from its secret: replicas with the same secret share them, and
access to the store reveals and forges nothing."""

from __future__ import annotations

import base64
import hmac
import os

from app.paging.cipher import NONCE, Cipher

_DIGEST = 16  #: bytes


class ValueCipher:
    """Cipher from a secret of any length, with keys independent of those of cursors."""

    def __init__(self, secret: str) -> None:
        self._cipher = Cipher(secret, b"audit-gateway shared state 1")

    def digest(self, *parts: bytes | str) -> str:
        """Return 26 letters and digits for `parts`; guesses of `parts` cannot be tested without the secret."""
        mac = hmac.new(self._cipher.mac_key, digestmod="sha256")
        for part in parts:
            data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            mac.update(len(data).to_bytes(8) + data)
        return base64.b32encode(mac.digest()[:_DIGEST]).decode().rstrip("=").lower()

    def seal(self, key: str, value: bytes) -> bytes:
        """Encrypt a value, for decryption under the same `key` only."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, value, key.encode())

    def open(self, key: str, sealed: bytes) -> bytes | None:
        """Return the value, or None if `seal` did not create it for this key."""
        return self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], key.encode())
