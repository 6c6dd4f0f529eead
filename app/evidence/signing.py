"""The Ed25519 key that signs exports and reports (GATEWAY_SIGNING_KEY_FILE), and its compact JWS."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet, OKPKey

from app.domain.errors import ConfigurationError
from app.domain.files import read_text

#: RFC 9864 names the algorithm Ed25519; `EdDSA` is what the contract and older verifiers expect.
ALGORITHM = "EdDSA"


class SigningKey:
    """A private key with its `kid`, the RFC 7638 thumbprint of the public key."""

    def __init__(self, key: OKPKey) -> None:
        self._key = key
        self.kid: str = key.thumbprint()

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """Read a PEM file. Raises ConfigurationError naming GATEWAY_SIGNING_KEY_FILE."""
        remedy = "make one with: audit-gateway keys signing --file signing.pem"
        try:
            key = OKPKey.import_key(read_text(path, "GATEWAY_SIGNING_KEY_FILE", f"; {remedy}."))
        except (ValueError, TypeError, JoseError):
            key = None
        if key is None or not key.is_private or key.curve_name != "Ed25519":
            raise ConfigurationError(f"GATEWAY_SIGNING_KEY_FILE: {path} holds no Ed25519 private key in PEM; {remedy}.")
        return cls(key)

    def sign(self, payload: bytes) -> str:
        """Return a compact JWS over `payload`."""
        with _eddsa_allowed():
            return jws.serialize_compact(
                {"alg": ALGORITHM, "kid": self.kid}, payload, self._key, algorithms=[ALGORITHM]
            )

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key Set (RFC 7517)."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": ALGORITHM}]}


@contextmanager
def _eddsa_allowed() -> Iterator[None]:
    """joserfc warns of `EdDSA` since RFC 9864, because the name does not state the curve; here the key does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        yield


def create_key_file(path: Path) -> SigningKey:
    """Write a new private key to `path`, readable by its owner alone. Raises FileExistsError, OSError."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey.read(path)


def verified_payload(token: str, keys: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return the payload of a compact JWS and the signer's `kid`. Raises ValueError if no key of `keys` signed it."""
    try:
        signed = jws.extract_compact(token.encode("ascii"))
        kid = signed.headers().get("kid")
        named = [key for key in keys.get("keys", []) if key.get("kid") == kid]
        if not named:
            raise ValueError(f"it is signed with the key {kid}, which is not among the trusted keys")
        key_set = KeySet.import_key_set({"keys": named})
        with _eddsa_allowed():
            found = jws.deserialize_compact(token, key_set, algorithms=[ALGORITHM])
    except (JoseError, UnicodeEncodeError, TypeError):
        raise ValueError("its signature does not match its content") from None
    return found.payload, str(kid)
