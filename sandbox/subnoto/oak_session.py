"""The server side of an Oak session without attestation, the protocol inside the vendor's tunnel.

Sources: the Noise Protocol Framework, pattern NN; the messages of Project Oak (`proto/session/session.proto`); and the
session module of the vendor's SDK, against which this module is tested. Comments name Oak's differences from Noise:
public keys are also mixed into the key, and messages are padded to 32 bytes and contain their nonce. Only the vendor's
hardware can attest itself in the first response, so this server does not.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_PROTOCOL = b"Noise_NN_P256_AESGCM_SHA256"
_CURVE = ec.SECP256R1()
_PADDING = 32

# Members of SessionRequest, SessionResponse and their messages.
_ATTEST, _HANDSHAKE, _ENCRYPTED = 1, 2, 3
_NOISE = 1
_PUBLIC_KEY, _PROOF = 1, 3
_CIPHERTEXT, _NONCE = 1, 3


class BadMessage(Exception):
    """Not a message of this protocol or session."""


class OakSession:
    """One session. `reply` until it `is_open`, then `open` and `seal`."""

    def __init__(self) -> None:
        self._attested = False
        self._incoming: AESGCM | None = None
        self._outgoing: AESGCM | None = None
        self._sealed = 0

    @property
    def is_open(self) -> bool:
        """Whether the handshake is complete."""
        return self._incoming is not None

    def reply(self, message: bytes) -> bytes:
        """Return the server's next handshake message. Raises BadMessage."""
        members = _members(message)
        if not self._attested and _ATTEST in members:
            self._attested = True
            return _member(_ATTEST, b"")
        if not self._attested or self.is_open or _HANDSHAKE not in members:
            raise BadMessage
        noise = _members(_members(members[_HANDSHAKE]).get(_NOISE, b""))
        return self._agree(noise.get(_PUBLIC_KEY, b""), noise.get(_PROOF, b""))

    def _agree(self, theirs: bytes, proof: bytes) -> bytes:
        state = _Handshake()
        state.mix_hash(b"\0")
        state.mix_public_key(theirs)
        state.check(proof)
        ours = ec.generate_private_key(_CURVE)
        public = ours.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        state.mix_public_key(public)
        try:
            state.mix_key(ours.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, theirs)))
        except ValueError:
            raise BadMessage from None
        keys = _member(_PUBLIC_KEY, public) + _member(_PROOF, state.prove())
        self._incoming, self._outgoing = map(AESGCM, state.split())
        return _member(_HANDSHAKE, _member(_NOISE, keys))

    def open(self, message: bytes) -> bytes:
        """Decrypt one message. Raises BadMessage."""
        encrypted = _members(_members(message).get(_ENCRYPTED, b""))
        if self._incoming is None:
            raise BadMessage
        try:
            padded = self._incoming.decrypt(encrypted.get(_NONCE, b""), encrypted.get(_CIPHERTEXT, b""), b"")
        except (InvalidTag, ValueError):
            raise BadMessage from None
        # The last byte is the number of zeros before it.
        return padded[: len(padded) - padded[-1] - 1]

    def seal(self, text: bytes) -> bytes:
        """Encrypt one message. The session must be open."""
        assert self._outgoing is not None
        self._sealed += 1
        nonce = self._sealed.to_bytes(12, "big")
        zeros = -(len(text) + 1) % _PADDING
        ciphertext = self._outgoing.encrypt(nonce, text + bytes(zeros) + bytes([zeros]), b"")
        return _member(_ENCRYPTED, _member(_CIPHERTEXT, ciphertext) + _member(_NONCE, nonce))


class _Handshake:
    """Noise's symmetric state. Each key is used at most once, so the nonce is always zero."""

    def __init__(self) -> None:
        self._hash = self._chain = _PROTOCOL.ljust(32, b"\0")
        self._key = b""

    def mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        self._chain, self._key = self._derive(secret)

    def mix_public_key(self, key: bytes) -> None:
        # Noise mixes a public key only into the hash.
        self.mix_hash(key)
        self.mix_key(key)

    def check(self, proof: bytes) -> None:
        try:
            AESGCM(self._key).decrypt(bytes(12), proof, self._hash)
        except (InvalidTag, ValueError):
            raise BadMessage from None
        self.mix_hash(proof)

    def prove(self) -> bytes:
        proof = AESGCM(self._key).encrypt(bytes(12), b"", self._hash)
        self.mix_hash(proof)
        return proof

    def split(self) -> tuple[bytes, bytes]:
        """Return the keys of the two directions, the client's first."""
        return self._derive(b"")

    def _derive(self, secret: bytes) -> tuple[bytes, bytes]:
        both = HKDF(SHA256(), 64, self._chain, b"").derive(secret)
        return both[:32], both[32:]


def _member(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field of protocol buffers, the only kind in these messages."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _members(message: bytes) -> dict[int, bytes]:
    """Return a message's length-delimited fields by number. Raises BadMessage."""
    members: dict[int, bytes] = {}
    position = 0
    while position < len(message):
        tag = message[position]
        length, position = _read_varint(message, position + 1)
        if tag & 7 != 2 or position + length > len(message):
            raise BadMessage
        members[tag >> 3] = message[position : position + length]
        position += length
    return members


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 35:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise BadMessage
