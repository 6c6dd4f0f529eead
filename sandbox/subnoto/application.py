"""The emulator as an ASGI application: the calls that the gateway makes, directly and through the tunnel."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.identifiers import Identifiers
from sandbox.instruments import Clock, Instrumented, call_of, to_milliseconds, utc_now

from .auth import why_refused
from .bodies import ListBody, VendorError, invalid, parse_list_body
from .envelopes import envelope_of
from .event_types import EXTRA_CATEGORIES
from .history import History, Record
from .options import EmulatorOptions
from .tunnel import Tunnels, wrapped


class Emulator(Instrumented):
    """A Subnoto team: the application to serve. `history`, `calls`, `faults`, `latency` and `tunnels` are for tests.

    `records`: a complete history in order of insertion, instead of the generated one.
    """

    def __init__(
        self,
        options: EmulatorOptions | None = None,
        *,
        clock: Clock | None = None,
        records: Iterable[Record] | None = None,
    ) -> None:
        options = options or EmulatorOptions()
        self.options = options if records is None else replace(options, events=0)
        self.clock = clock or utc_now
        self.history = History(self.options, self.clock)
        self.history.insert(records or [])
        self.tunnels = Tunnels()
        self._request_ids = Identifiers(options.seed, "request")
        self._errors = 0
        routes = [
            Route("/public/logs/list", self._list_logs, methods=["POST"]),
            Route("/public/envelope/get", self._get_envelope, methods=["POST"]),
            Route("/public/utils/whoami", self._whoami, methods=["POST"]),
            Route("/tunnel/session", self.tunnels.handshake, methods=["POST"]),
        ]
        handlers: Any = {VendorError: self._error, HTTPException: self._unknown_path}
        self._listed: Counter[str] = Counter()
        super().__init__(Starlette(routes=routes, exception_handlers=handlers), self._date)

    def env(self, base_url: str) -> dict[str, str]:
        """Return the settings of a source that reads this team like through the Encryption Proxy."""
        return {
            "SUBNOTO_BASE_URL": base_url,
            "SUBNOTO_ACCESS_KEY": self.options.access_key,
            "SUBNOTO_SECRET_KEY": self.options.secret_key,
            "SUBNOTO_TRANSPORT": "proxy",
        }

    def _date(self) -> datetime:
        return self.clock() + timedelta(seconds=self.options.date_ahead_seconds)

    # -- endpoints ---------------------------------------------------------------------------------------

    async def _whoami(self, request: Request) -> Response:
        await self._admit(request)
        return wrapped(request, _json({**self.history.account.team, "accessKey": self.options.access_key}))

    async def _list_logs(self, request: Request) -> Response:
        body = parse_list_body(await self._admit(request), self.options)
        body = body.model_copy(update={"limit": min(body.limit, self.options.max_limit)})
        if body.category in EXTRA_CATEGORIES:
            raise VendorError(400, "LOG_CATEGORY_NOT_IMPLEMENTED", f"No logs of {body.category} yet")
        if body.category not in self.options.permissions:
            permission = f"Read {body.category.capitalize()}"
            raise VendorError(403, "AUTHORIZATION_ERROR", f"This API key lacks the permission {permission}")
        self._retain(body.category)
        records, total = self._find(body)
        if self.options.total_of_page:
            total = min(total, body.page * body.limit + 1)
        drift = (self._listed[body.category] % 3 - 1) * self.options.total_jitter
        total = max(0, total + self.options.total_offset + drift)
        total = total if self.options.total_cap is None else min(total, self.options.total_cap)
        call_of(request).records = len(records)
        response: dict[str, Any] = {"logs": [self._render(record) for record in records]}
        if self.options.totals in ("totalCount", "both"):
            response["totalCount"] = total
        if self.options.totals in ("pagination", "both"):
            response["pagination"] = _pagination(total, body)
        return wrapped(request, _json(response))

    async def _get_envelope(self, request: Request) -> Response:
        body = await self._admit(request)
        uuid = body.get("envelopeUuid") if isinstance(body, dict) else None
        if not isinstance(uuid, str):
            raise invalid([("envelopeUuid", "Required")])
        if not self.options.reads_envelopes:
            raise VendorError(403, "AUTHORIZATION_ERROR", "This API key lacks the permission Read Envelope")
        # Vendor's SDK: "When omitted, the team's default workspace is used."
        workspace = body.get("workspaceUuid", self.history.account.workspaces[0])
        listed = {"category": "envelope", "envelopeUuid": uuid, "limit": 50, "sortBy": "id", "sortOrder": "asc"}
        records, _ = self._find(parse_list_body(listed, self.options))
        if all(record.workspace_uuid != workspace for record in records):
            raise VendorError(400, "ENVELOPE_NOT_FOUND", "There is no such envelope")
        return wrapped(request, _json(envelope_of(uuid, records, to_milliseconds(self.clock()))))

    async def _admit(self, request: Request) -> Any:
        """Check the credentials and return the JSON body, decrypted if it came through the tunnel."""
        body = await request.body()
        refusal = why_refused(request, body, self.options.access_key, self.options.secret_key)
        if refusal is not None:
            raise VendorError(401, "AUTHENTICATION_ERROR", refusal)
        try:
            return json.loads(self.tunnels.unwrap(request, body))
        except ValueError:
            raise invalid([("", "The body is not valid JSON")]) from None

    def _retain(self, category: str) -> None:
        """Remove the oldest records after a number of calls; a ring adds as many new ones."""
        self._listed[category] += 1
        if self.options.removed_every and self._listed[category] % self.options.removed_every == 0:
            removed = self.history.delete_oldest(self.options.removed, category)
            for _ in range(removed if self.options.ring else 0):
                kind = "ENVELOPE_OPENED" if category == "envelope" else "TEAM_CONFIG_UPDATED"
                self.history.append(kind, category=category)

    def _find(self, body: ListBody) -> tuple[list[Record], int]:
        with self.history.lock:
            if body.workspace_uuid is not None and not self.history.knows_workspace(body.workspace_uuid):
                raise VendorError(400, "WORKSPACE_NOT_FOUND", "There is no such workspace")
            rows = self.history.select(
                body.category, body.workspace_uuid, body.envelope_uuid, frozenset(body.event_types), body.sort_by
            )
            if rows is None:
                raise VendorError(400, "ENVELOPE_NOT_FOUND", "There is no such envelope")
            last = max(1, -(-len(rows) // body.limit))
            if body.page > last and self.options.beyond_the_end == "refused":
                raise VendorError(400, "INVALID_REQUEST_FORMAT", "There is no such page")
            page = min(body.page, last) if self.options.beyond_the_end == "last" else body.page
            shown = rows[::-1] if body.sort_order == "desc" else rows
            start = (page - 1) * body.limit
            return [self.history.record(row) for row in shown[start : start + body.limit]], len(rows)

    # -- responses ---------------------------------------------------------------------------------------

    def _render(self, record: Record) -> dict[str, Any]:
        """Return one record in the generation and unit of the options."""
        timestamp: float = record.timestamp
        if self.options.unit == "seconds":
            timestamp = record.timestamp // 1000
        elif self.options.unit == "float_seconds":
            timestamp = record.timestamp / 1000
        identity = self.options.author
        author = {name: record.author[name] for name in (identity, "email", "name")}
        rendered = {
            "category": record.category,
            "eventType": record.event_type,
            "eventData": record.event_data,
            "timestamp": timestamp,
            "author": author,
        }
        if record.category == "envelope":
            rendered["envelopeUuid"] = record.envelope_uuid
            rendered["workspaceUuid"] = record.workspace_uuid
        return rendered

    async def _error(self, request: Request, error: VendorError) -> Response:
        if error.refused:
            call_of(request).refused = error.message if error.details is None else str(error.details)
        self._errors += 1
        now = self.clock().astimezone(UTC)
        body = error.body(
            request_id=self._request_ids.uuid(self._errors),
            timestamp=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            path=request.url.path,
        )
        return wrapped(request, _json(body, error.status))

    async def _unknown_path(self, request: Request, error: HTTPException) -> Response:
        return await self._error(request, VendorError(404, "NOT_FOUND", "Route not found", refused=True))


def make_sandbox(*, events: int, seed: int, days: float = 60, clock: Clock | None = None) -> Emulator:
    """Return the emulator of `--sandbox`: the vendor's present API, a history of `events` records."""
    return Emulator(EmulatorOptions(seed=seed, events=events, days=days), clock=clock)


def _pagination(total: int, body: ListBody) -> dict[str, int | None]:
    """Source: the SDK's `post_public_logs_list_response_200_pagination`."""
    pages = max(1, -(-total // body.limit))
    return {
        "totalRecords": total,
        "currentPage": body.page,
        "totalPages": pages,
        "nextPage": body.page + 1 if body.page < pages else None,
        "prevPage": body.page - 1 if body.page > 1 else None,
    }


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
