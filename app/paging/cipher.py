"""AES-GCM-SIV, which tolerates repeated nonces, with keys derived from the operator's secret."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12  #: bytes


class Cipher:
    """Cipher from a secret of any length, independent for each purpose. `mac_key`: 32 bytes for digests."""

    def __init__(self, secret: str, purpose: bytes) -> None:
        material = HKDF(SHA256(), 64, salt=None, info=purpose).derive(secret.encode("utf-8", "surrogatepass"))
        self._aes, self.mac_key = AESGCMSIV(material[:32]), material[32:]

    def encrypt(self, nonce: bytes, plain: bytes, beside: bytes) -> bytes:
        """Encrypt `plain`; decryption needs the same `nonce` and associated data `beside`."""
        return self._aes.encrypt(nonce, plain, beside)

    def decrypt(self, nonce: bytes, sealed: bytes, beside: bytes) -> bytes | None:
        """Return the plaintext, or None if `encrypt` did not create this ciphertext."""
        try:
            return self._aes.decrypt(nonce, sealed, beside)
        except (InvalidTag, ValueError):
            return None
