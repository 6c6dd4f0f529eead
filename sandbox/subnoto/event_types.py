"""The event types of the vendor's documents: tutorial page (older), SDK 2.16.1 and reference page (newer)."""

OLDER: dict[str, tuple[str, ...]] = {
    "envelope": (
        "ENVELOPE_CREATED", "ENVELOPE_SENT", "DOCUMENT_SIGNED", "ENVELOPE_COMPLETED", "ENVELOPE_OPENED",
        "ENVELOPE_DECLINED", "ENVELOPE_CANCELED", "RECIPIENT_VERIFIED",
    ),
    "team": (
        "TEAM_CREATED", "TEAM_CONFIG_UPDATED", "MEMBER_INVITED", "INVITE_REVOKED", "MEMBER_JOINED", "MEMBER_REMOVED",
        "MEMBER_ROLE_UPDATED", "API_KEY_CREATED", "API_KEY_UPDATED", "API_KEY_INVALIDATED", "WEBHOOK_CREATED",
        "WEBHOOK_UPDATED", "WEBHOOK_DELETED", "SSO_CONFIG_CREATED", "SSO_CONFIG_UPDATED", "SSO_CONFIG_DELETED",
    ),
}  # fmt: skip
NEWER: dict[str, tuple[str, ...]] = {
    "envelope": (
        "ENVELOPE_APPROVED", "ENVELOPE_APPROVAL_PHASE_COMPLETED",
    ),
    "team": (
        "INVITE_DECLINED", "AGENT_REGISTRATION_CREATED", "AGENT_REGISTRATION_UPDATED", "AGENT_REGISTRATION_REVOKED",
        "OAUTH_GRANT_APPROVED", "OAUTH_GRANT_DENIED", "OAUTH_TOKEN_REVOKED", "OAUTH_TOKEN_REUSE_DETECTED",
    ),
}  # fmt: skip
CATEGORIES = ("envelope", "team")
EXTRA_CATEGORIES = ("user", "dataroom")


def event_types(category: str, newer_types: bool) -> tuple[str, ...]:
    """Return a category's types on a server of this generation."""
    return OLDER[category] + (NEWER[category] if newer_types else ())
