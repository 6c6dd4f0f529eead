"""The body of `/public/logs/list`: its schema by the vendor's OpenAPI, and the vendor's error shape.

Source: the SDK's `generated/models/post_public_logs_list_*` (2.16.1) and the notes in `providers/subnoto.md`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from .event_types import CATEGORIES, event_types
from .options import EmulatorOptions

Uuid = Annotated[str, Field(pattern=r"(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]


@dataclass(eq=False)
class VendorError(Exception):
    """Error response. `refused`: the documents declare this request invalid."""

    status: int
    code: str
    message: str
    details: list[dict[str, Any]] | None = None
    refused: bool = False

    def body(self, *, request_id: str, timestamp: str, path: str) -> dict[str, Any]:
        """Return the vendor's error object."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "suggestion": "Check the request against the API reference.",
            "documentationUrl": f"https://subnoto.example.com/documentation/errors#{self.code.lower()}",
        }
        if self.details is not None:
            error["details"] = self.details
        return {
            "statusCode": self.status,
            "error": error,
            "requestId": request_id,
            "timestamp": timestamp,
            "path": path,
        }


class ListBody(BaseModel):
    """A valid body with its defaults."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel)

    category: Literal["envelope", "team", "user", "dataroom"]
    workspace_uuid: Uuid | None = None
    envelope_uuid: Uuid | None = None
    event_types: list[str] = []
    page: int = Field(1, ge=1)
    limit: int = Field(50, ge=1, le=50)
    sort_by: Literal["timestamp", "id"] = "timestamp"
    sort_order: Literal["asc", "desc"] = "desc"

    @field_validator("workspace_uuid", "envelope_uuid")
    @classmethod
    def _of_envelopes(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or info.data.get("category") == "team":
            raise ValueError("Only allowed for the envelope category, as a UUID")
        return value

    @field_validator("event_types")
    @classmethod
    def _of_the_category(cls, value: list[str], info: ValidationInfo) -> list[str]:
        category = info.data.get("category")
        allowed = event_types(category, bool(info.context)) if category in CATEGORIES else ()
        if unknown := [name for name in value if name not in allowed]:
            raise ValueError(f"{unknown[0]!r} is no event type of this category")
        return value


def parse_list_body(body: Any, options: EmulatorOptions) -> ListBody:
    """Parse a body. Raises VendorError INVALID_REQUEST_FORMAT with one detail per error."""
    try:
        return ListBody.model_validate(body, context=options.newer_types)
    except ValidationError as error:
        raise invalid([(str((*each["loc"], "")[0]), each["msg"]) for each in error.errors()]) from None


def invalid(faults: list[tuple[str, str]]) -> VendorError:
    """Return INVALID_REQUEST_FORMAT with each invalid field."""
    details = [{"path": [path] if path else [], "message": message} for path, message in faults]
    return VendorError(400, "INVALID_REQUEST_FORMAT", "The request is not valid", details, refused=True)
