"""The gateway's intended errors, independent of HTTP; `app.api.problems` has their statuses.

Messages contain no secret and no personal datum: they name parameters, sources, codes and statuses, and of a provider's
own text only known codes.
"""

from __future__ import annotations

from collections.abc import Sequence


class GatewayError(Exception):
    """Base of all. `code` is the stable word of contract section 7."""

    code = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __init_subclass__(cls, code: str | None = None) -> None:
        cls.code = code or cls.code


class ConfigurationError(GatewayError, code="configuration"):
    """A setting is missing or wrong. `detail` names the variable and the remedy."""


class CallerError(GatewayError):
    """The request is at fault; `errors` are (parameter, message) pairs, if parameters are."""

    def __init__(self, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class ParameterError(CallerError):
    """One or more parameters are wrong; `errors` are (parameter, message) pairs."""

    def __init__(self, code: str, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in errors), errors)
        self.code = code


class InvalidCursor(CallerError, code="invalid_cursor"):
    """The cursor is foreign, changed, or of a removed format or source. `parameter`: its name."""

    def __init__(self, detail: str, parameter: str = "cursor") -> None:
        super().__init__(detail, [(parameter, detail)])


class CursorMismatch(ParameterError):
    """A filter differs from the one sealed in the cursor."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("cursor_mismatch", errors)


class NotFound(CallerError, code="not_found"):
    """Nothing exists under this id or path."""


class Unauthenticated(CallerError, code="unauthenticated"):
    """No key, or an unknown one."""


class Forbidden(CallerError, code="forbidden"):
    """The key is valid but does not grant this; `errors` if a parameter requests it."""


class RateLimited(CallerError, code="rate_limited"):
    """The caller has used up its rate; `retry_after` in seconds."""

    def __init__(self, detail: str, *, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class IssuerUnavailable(GatewayError, code="issuer_unavailable"):
    """The token issuer's keys are unavailable, so that no token can be verified."""


class SourceError(GatewayError, code="source_failed"):
    """One source failed.

    `retry_after` is in seconds. `provider_request_id` is the vendor's own id of the failed call, which its support
    asks for. The feed fills in `source`.
    """

    def __init__(
        self,
        detail: str,
        *,
        retry_after: float | None = None,
        provider_request_id: str | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.source = source
        self.retry_after = retry_after
        self.provider_request_id = provider_request_id


class SourceFailed(SourceError):
    """A bad status, or an answer that is malformed, oversized or contradicts itself."""


class TemporaryFailure(SourceFailed):
    """A status of an error in a server, or a response that is not the API's: the next call may succeed."""


class SourceUnauthorized(SourceError, code="source_unauthorized"):
    """The provider refuses our credentials."""


class CallUnauthorized(SourceError, code="source_unauthorized"):
    """The provider refuses a call by 403, and may accept others with these credentials."""


class SourceForbidden(SourceError, code="source_forbidden"):
    """The provider refuses this part of the account to our credentials; other parts may still answer.

    Internal: it becomes `sources[].status = forbidden`."""


class SourceUnavailable(SourceError, code="source_unavailable"):
    """The provider demands a pause, or cannot be reached."""


class SourceTimeout(SourceError, code="source_timeout"):
    """No answer within the deadline."""


class SourcesFailed(GatewayError):
    """The call failed because sources did; `errors` has one entry per failed source, `source` filled in. `all_failed`:
    the call accepted missing sources (`partial`), and all failed."""

    def __init__(self, errors: Sequence[SourceError], *, all_failed: bool = False) -> None:
        super().__init__("; ".join(f"{error.source}: {error.detail}" for error in errors))
        self.errors = tuple(errors)
        # The gravest by a fixed rank decides the code, so that equal failures give equal responses. If all sources of a
        # `partial` call failed, a later call may succeed.
        rank = ["source_unauthorized", "source_failed", "source_timeout", "source_unavailable"]
        self.code = min((error.code for error in errors), key=lambda code: rank.index(code) if code in rank else 1)
        if all_failed:
            self.code = "source_unavailable"
