"""AES-GCM-SIV, which a repeated nonce does not break, under keys made of the operator's secret.

A module by itself, imported where something is sealed: its library takes a while to load, and a process has answers to
give before.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12  #: bytes


class Cipher:
    """Made of a secret of any length; those of different purposes have nothing to do with each other. `mac_key`: 32
    bytes for whoever wants digests besides."""

    def __init__(self, secret: str, purpose: bytes) -> None:
        material = HKDF(SHA256(), 64, salt=None, info=purpose).derive(secret.encode("utf-8", "surrogatepass"))
        self._aes, self.mac_key = AESGCMSIV(material[:32]), material[32:]

    def encrypt(self, nonce: bytes, plain: bytes, beside: bytes) -> bytes:
        """What opens again with the same `nonce` and the same bytes `beside` it only."""
        return self._aes.encrypt(nonce, plain, beside)

    def decrypt(self, nonce: bytes, sealed: bytes, beside: bytes) -> bytes | None:
        """None for whatever `encrypt` did not write so."""
        try:
            return self._aes.decrypt(nonce, sealed, beside)
        except (InvalidTag, ValueError):
            return None
