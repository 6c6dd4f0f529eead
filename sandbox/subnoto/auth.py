"""The two ways in: `Authorization: Bearer ACCESS:SECRET`, and the SDK's signed requests.

Sources: the vendor's page on the Encryption Proxy (Bearer), and its SDK's `middleware/signature_utils.py`,
which signs per RFC 9421 with HMAC-SHA256 under the label `team`. The verification is written out here because
RFC 9421's signature base is six lines for these components, and a production install has no library for it.
"""

import base64
import binascii
import hashlib
import hmac
import re
import time

from starlette.requests import Request

_COMPONENTS = ("x-timestamp", "@authority", "content-type", "content-digest", "content-length")
_FRESH_SECONDS = 300
_INPUT = re.compile(r'team=(?P<parameters>\((?P<components>[^)]*)\)(?P<rest>(?:;[a-z]+=(?:"[^"]*"|\d+))*))')
_SIGNATURE = re.compile(r"team=:(?P<signature>[A-Za-z0-9+/=]+):")
_DIGEST = re.compile(r"sha-256=:(?P<digest>[A-Za-z0-9+/=]+):")


def why_refused(request: Request, body: bytes, access_key: str, secret_key: str) -> str | None:
    """Why these credentials do not open the door, or None where they do."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme:
        right = f"{access_key}:{secret_key}".encode()
        if scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode(), right):
            return None
        return "Invalid API key"
    if "signature" not in request.headers or "signature-input" not in request.headers:
        return "Missing credentials"
    return _why_signature_refused(request, body, access_key, secret_key)


def _why_signature_refused(request: Request, body: bytes, access_key: str, secret_key: str) -> str | None:
    headers = request.headers
    described = _INPUT.fullmatch(headers["signature-input"])
    signed = _SIGNATURE.fullmatch(headers["signature"])
    if described is None or signed is None:
        return "Malformed signature headers"
    components = tuple(re.findall(r'"([^"]+)"', described["components"]))
    if set(components) != set(_COMPONENTS) or len(components) != len(_COMPONENTS):
        return "The signature does not cover what it must"
    parameters = dict(re.findall(r';([a-z]+)="?([^";]*)"?', described["rest"]))
    if parameters.get("keyid") != access_key:
        return "Unknown access key"
    if parameters.get("alg", "hmac-sha256") != "hmac-sha256" or "created" not in parameters:
        return "Unsupported signature parameters"
    stale = _why_stale(headers.get("x-timestamp", ""), parameters["created"])
    if stale is not None:
        return stale
    if not _digest_matches(headers.get("content-digest", ""), body):
        return "Content-Digest does not match the body"
    values = {name: headers.get(name, "").strip() for name in components}
    values["@authority"] = headers.get("host", "").lower()
    lines = [f'"{name}": {values[name]}' for name in components]
    lines.append(f'"@signature-params": {described["parameters"]}')
    try:
        key = bytes.fromhex(secret_key)
    except ValueError:
        return "This key's secret is not hexadecimal: it signs nothing"
    expected = hmac.new(key, "\n".join(lines).encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(_decoded(signed["signature"]), expected):
        return "Invalid signature"
    return None


def _why_stale(milliseconds: str, created: str) -> str | None:
    """Signatures are fresh by the real clock: the SDK signs with it, whatever clock the history runs on."""
    now = time.time()
    if not milliseconds.isdigit() or abs(int(milliseconds) / 1000 - now) > _FRESH_SECONDS:
        return "X-Timestamp is missing or too far from now"
    if not created.isdigit() or abs(int(created) - now) > _FRESH_SECONDS:
        return "The signature is too old, or of a time to come"
    return None


def _digest_matches(header: str, body: bytes) -> bool:
    found = _DIGEST.fullmatch(header)
    return found is not None and hmac.compare_digest(_decoded(found["digest"]), hashlib.sha256(body).digest())


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
