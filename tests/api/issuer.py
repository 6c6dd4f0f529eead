"""Keys and tokens of an OIDC issuer, valid and forged."""

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

ISSUER, AUDIENCE = "https://issuer.example", "audit-gateway"
#: Settings of a gateway that accepts this issuer's tokens, without `jwt_jwks`.
JWT = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})


def key_set(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def key_file(folder: Path) -> Path:
    """Write the keys of this issuer into a new file."""
    path = folder / "jwks.json"
    path.write_text(json.dumps(key_set(RSA, EC, ED)))
    return path


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "client-7", "exp": now + 300, "scope": "events:read", **changed}
    return {name: value for name, value in given.items() if value is not None}


def signed(key: Any = RSA, alg: str = "RS256", header: Mapping[str, Any] | None = None, **changed: Any) -> str:
    given = {"alg": alg, "kid": key.kid} if header is None else {"alg": alg, **header}
    return jwt.encode(given, claims(**changed), key, algorithms=[alg])


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: dict[str, Any], signature: str = "") -> str:
    return f"{part(header)}.{part(claims())}.{signature}"
