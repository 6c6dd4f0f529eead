"""The two kinds of authentication: `Authorization: Bearer ACCESS:SECRET`, and the SDK's signed requests.

Sources: the vendor's page on the Encryption Proxy (Bearer), and its SDK's `middleware/signature_utils.py`,
which signs per RFC 9421 with HMAC-SHA256.
"""

import base64
import hashlib
import hmac
from types import SimpleNamespace

from starlette.requests import Request

_COMPONENTS = {"x-timestamp", "@authority", "content-type", "content-digest", "content-length"}


def why_refused(request: Request, body: bytes, access_key: str, secret_key: str) -> str | None:
    """Return why the credentials are refused, or None if they are accepted."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme:
        right = f"{access_key}:{secret_key}".encode()
        if scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode(), right):
            return None
        return "Invalid API key"
    if "signature" not in request.headers or "signature-input" not in request.headers:
        return "Missing credentials"
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if request.headers.get("content-digest") != f"sha-256=:{digest}:":
        return "Content-Digest does not match the body"
    return _why_signature_refused(request, access_key, secret_key)


def _why_signature_refused(request: Request, access_key: str, secret_key: str) -> str | None:
    # A dependency of the vendor's SDK: without the SDK there are no signatures.
    from http_message_signatures.algorithms import HMAC_SHA256  # type: ignore[attr-defined]
    from http_message_signatures.exceptions import InvalidSignature
    from http_message_signatures.resolvers import HTTPSignatureKeyResolver
    from http_message_signatures.signatures import HTTPMessageVerifier

    class Keys(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> bytes:
            if key_id != access_key:
                raise InvalidSignature("unknown access key")
            return bytes.fromhex(secret_key)

    message = SimpleNamespace(method=request.method, url=str(request.url), headers=request.headers)
    verifier = HTTPMessageVerifier(signature_algorithm=HMAC_SHA256, key_resolver=Keys())
    try:
        (found,) = verifier.verify(message)
    except (InvalidSignature, ValueError, KeyError) as error:
        return f"Invalid signature ({error})"
    if {name.strip('"') for name in found.covered_components} != {*_COMPONENTS, "@signature-params"}:
        return "The signature does not cover what it must"
    return None
