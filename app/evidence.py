"""Signed exports and reports: the Ed25519 key (GATEWAY_SIGNING_KEY_FILE), manifests, and their verification.

Each response of `GET /events/export` is one *segment*. Its last line contains a manifest over all bytes before that
line. An export that continues with the cursor of a last line is the next segment of the same file: `resumed_from` of
its manifest equals `next` of the previous one. Detects changed, shortened and spliced files
(`tests/evidence/test_verify.py`).
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet, OKPKey

from app.config import read_text
from app.domain.errors import ConfigurationError

#: RFC 9864 names the algorithm Ed25519; `EdDSA` is what the contract and older verifiers expect. joserfc warns of it,
#: because the name does not state the curve; here the key does.
ALGORITHM = "EdDSA"

VERSION = 1  #: of manifests


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
        header = {"alg": ALGORITHM, "kid": self.kid}
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):
            return jws.serialize_compact(header, payload, self._key, algorithms=[ALGORITHM])

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key Set (RFC 7517)."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": ALGORITHM}]}


def create_key_file(path: Path) -> SigningKey:
    """Write a new private key to `path`, readable by its owner alone. Raises FileExistsError, OSError."""
    pem = OKPKey.generate_key("Ed25519", private=True).as_pem(private=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    return SigningKey.read(path)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The signed content. Times are RFC 3339 in UTC; digests are SHA-256 in hexadecimal.

    `sha256`: of all bytes of the segment before its last line; `end`: of the last line before its manifest, None in
    formats without one. `resumed_from`, `next`: digests of the cursor that the segment continues from and of its own
    cursor; None at the export's beginning and end.
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
    end: str | None
    resumed_from: str | None
    next: str | None


def digest_of(cursor: str | None) -> str | None:
    """Return the digest of a cursor for a manifest."""
    return None if cursor is None else hashlib.sha256(cursor.encode()).hexdigest()


class Refusal(Exception):
    """The file differs from the delivered export. The text names the segment and the difference."""


class Verdict(msgspec.Struct, frozen=True):
    """A verified file: its segments' manifests in order, and the keys that signed them."""

    manifests: list[Manifest]
    kids: list[str]

    @property
    def count(self) -> int:
        return sum(manifest.count for manifest in self.manifests)


def verify(lines: Iterable[bytes], keys: Mapping[str, Any]) -> Verdict:
    """Verify the lines of an NDJSON export, line ends included, against a JWKS. Raises Refusal.

    Reads in constant memory. A file of several segments (an export that was resumed) is verified as one file.
    """
    manifests: list[Manifest] = []
    kids: list[str] = []
    sha256, count, last = hashlib.sha256(), 0, None
    for number, line in enumerate(lines, start=1):
        end = _end_of(line)
        if end is None:
            sha256.update(line)
            count, last = count + 1, number
            continue
        if not isinstance(token := end.get("manifest"), str):
            raise Refusal(f"line {number}: this segment was not signed")
        manifest, kid = _manifest(token, keys, f"line {number}: ")
        head = line.removesuffix(b"\n").removesuffix(b',"manifest":"%b"}' % token.encode())
        is_first, due = not manifests, manifests[-1].next if manifests else None
        for is_refused, why in (
            (manifest.format != "ndjson", f"the manifest belongs to a file of the format {manifest.format}"),
            (manifest.count != count, f"the manifest counts {manifest.count} events, the file has {count}"),
            (manifest.sha256 != sha256.hexdigest(), "the lines before it were changed (SHA-256 differs)"),
            (manifest.end != hashlib.sha256(head).hexdigest(), "the last line was changed (SHA-256 differs)"),
            (not is_first and due is None, "another export follows a complete one; verify each in a file of its own"),
            (is_first and manifest.resumed_from is not None, "the export began earlier; its first part is missing"),
            (manifest.resumed_from != due, "this segment does not continue the one before it"),
        ):
            if is_refused:
                raise Refusal(f"line {number}: {why}")
        manifests.append(manifest)
        kids.append(kid)
        sha256, count, last = hashlib.sha256(), 0, None
    if last is not None:
        why = "have no manifest after them: the file was cut, added to or never signed"
        if not manifests:
            why += "; a format other than NDJSON has its manifest in another file (--manifest)"
        raise Refusal(f"{count} lines up to line {last} {why}")
    if not manifests:
        raise Refusal("the file is empty")
    if manifests[-1].next is not None:
        raise Refusal("the export is not complete: its last manifest hands out a cursor; resume it")
    return Verdict(manifests, list(dict.fromkeys(kids)))


def verify_detached(chunks: Iterable[bytes], token: str, keys: Mapping[str, Any]) -> Verdict:
    """Verify the bytes of an export in another format than NDJSON against its manifest. Raises Refusal."""
    manifest, kid = _manifest(token.strip(), keys)
    if manifest.format == "ndjson":
        raise Refusal("the manifest belongs to an NDJSON export, which carries its own; leave --manifest out")
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    if manifest.sha256 != sha256.hexdigest():
        raise Refusal("the file was changed, or the manifest belongs to another export (SHA-256 differs)")
    if manifest.resumed_from is not None:
        raise Refusal("the export began earlier; its first part is missing")
    if manifest.next is not None:
        raise Refusal("the export is not complete: it ended at its limit")
    return Verdict([manifest], [kid])


def _manifest(token: str, keys: Mapping[str, Any], where: str = "") -> tuple[Manifest, str]:
    """Return the manifest of a compact JWS and the signer's `kid`. Raises Refusal if no key of `keys` signed it."""
    problem = "its signature does not match its content"
    if token.count(".") != 2:
        problem = "it is no JWS, such as an error that was saved in its place"
    try:
        kid = jws.extract_compact(token.encode("ascii")).headers().get("kid")
        if named := [key for key in keys.get("keys", []) if key.get("kid") == kid]:
            with warnings.catch_warnings(action="ignore", category=SecurityWarning):
                signed = jws.deserialize_compact(token, KeySet.import_key_set({"keys": named}), algorithms=[ALGORITHM])
            return msgspec.json.decode(signed.payload, type=Manifest), str(kid)
        problem = f"it is signed with the key {kid}, which is not among the trusted keys"
    except (JoseError, UnicodeEncodeError, TypeError):
        pass
    except (ValueError, msgspec.MsgspecError) as error:
        problem = str(error)
    raise Refusal(f"{where}the manifest is not valid: {problem}")


def _end_of(line: bytes) -> dict[str, Any] | None:
    """Return the members of an export's last line (with `complete`), or None for an event (with `id`)."""
    if not line.startswith((b'{"cursor"', b'{"complete"')):
        return None
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    return found if "complete" in found and "id" not in found else None
