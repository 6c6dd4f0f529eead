"""JSON that line readers do not split."""

from __future__ import annotations

import json

from app.api.rendering import encode


def test_unicode_line_separators_are_escaped() -> None:
    text = "a\u2028b\u2029c\x85d\u00c5 \u2027"
    body = encode({"text": text})
    assert json.loads(body) == {"text": text}
    assert len(body.decode().splitlines()) == 1
