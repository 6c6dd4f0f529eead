"""Signbox: `GET /v1/audit-events`, by `created_after`, `created_before` and `document_id`, 100 records a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from app.domain.errors import SourceFailed
from app.domain.event import Actor, Envelope, Recipient
from app.domain.times import format_micros
from app.providers.kit import FetchedPage, PageRequest, Row, TimeRangeSource, make_provider
from app.providers.settings import SourceSettings, header_safe

PAGE_SIZE = 100


class SignboxSettings(SourceSettings):
    base_url: str = Field("https://api.signbox.example", description="the API, default https://api.signbox.example")
    api_key: SecretStr = Field(description="an API key with the right to read the audit log; adds a source")

    _key_fits_header = field_validator("api_key")(header_safe)


class SignboxSource(TimeRangeSource):
    provider = "signbox"
    types: ClassVar[Mapping[str, str]] = {
        "document.created": "envelope.created",
        "document.sent": "envelope.sent",
        "document.viewed": "envelope.viewed",
        "document.completed": "envelope.completed",
        "signer.signed": "recipient.signed",
    }

    def headers(self, settings: SignboxSettings) -> dict[str, str]:
        return {"authorization": f"Bearer {settings.api_key.get_secret_value()}"}

    async def fetch(self, request: PageRequest) -> FetchedPage:
        offset = request.token or 0
        params = {
            "created_after": format_micros(request.since),
            "created_before": format_micros(request.until),
            "order": "asc" if request.ascending else "desc",
            "offset": str(offset),
            "limit": str(PAGE_SIZE),
        }
        if request.envelope is not None:
            params["document_id"] = request.envelope
        match await self.get("v1/audit-events", request.budget, params):
            case {"items": list(items), "total": int(total)}:
                following = offset + len(items)
                return FetchedPage(items, following if following < total else None, total)
        raise SourceFailed("the provider's response is not a page of audit events")

    def row(self, item: Any) -> Row:
        return Row(item["id"], item["created_at"], item["document"]["id"], item["type"])

    def normalize(self, body: Mapping[str, Any]) -> dict[str, Any]:
        user, signer, document = body.get("user"), body.get("signer"), body["document"]
        return {
            "description": body.get("message"),
            "actor": Actor("user", name=user.get("name"), email=user.get("email")) if user else Actor("system"),
            "envelope": Envelope(document["id"], name=document.get("title")),
            "recipient": signer
            and Recipient(signer.get("id"), signer.get("name"), signer.get("email"), signer.get("phone")),
            "user_agent": body.get("user_agent"),
        }


PROVIDER = make_provider(SignboxSource, SignboxSettings, title="Signbox", mapping_version="1")
