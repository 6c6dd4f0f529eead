"""Ids of recipients, in the place of the vendor's signee keys.

A signing link is `{base}/s/{processKey}/{signeeKey}`, and the signed PDF lies at `/{processKey}/{signeeKey}.pdf`
(vendor's pages): the signee key lets its holder sign and read, so no caller receives it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

PREFIX = "rcp_"
_PERSON = b"audit.recipient"  #: separates these digests from others of the same texts


@lru_cache(maxsize=4096)
def recipient_id(process_key: str, signee_key: str) -> str:
    """`rcp_` and 32 hexadecimal digits: BLAKE2b with a digest of 16 bytes, no key and the person `audit.recipient`, of
    the process key, a NUL byte and the signee key in UTF-8. The owner of a signee key computes the same."""
    text = f"{process_key}\0{signee_key}".encode(errors="surrogatepass")
    return PREFIX + hashlib.blake2b(text, digest_size=16, person=_PERSON).hexdigest()
