"""`audit-gateway openapi`."""

from __future__ import annotations

import json

from app.config import Settings
from app.main import create_app


def openapi_text() -> str:
    """The OpenAPI document as indented JSON with sorted keys and a line end: one text for one code."""
    # Built without settings from anywhere: none but GATEWAY_PROVIDERS_PATH changes the document.
    app = create_app(Settings.model_construct(auth="off"), [])
    return json.dumps(app.openapi(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
