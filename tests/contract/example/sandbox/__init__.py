"""Signbox as its documents describe it: records in memory, served over HTTP."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sandbox.instruments import Clock, Instrumented, call_of, utc_now

KEY = "signbox-sandbox-key"
TYPES = ["document.created", "document.sent", "document.viewed", "signer.signed", "document.completed"]


class Emulator:
    """A Signbox account of `events` records, five a document, spread over `days`. Every tenth shares its time."""

    def __init__(self, events: int, seed: int, days: int, clock: Clock) -> None:
        rng, now = random.Random(seed), clock()
        times = sorted(now - timedelta(microseconds=rng.randrange(1, days * 86_400_000_000)) for _ in range(events))
        times = [times[number - 1] if number % 10 in (3, 4) else time for number, time in enumerate(times)]
        self.records = [_record(number, time.isoformat()) for number, time in enumerate(times)]
        self.app = Instrumented(Starlette(routes=[Route("/v1/audit-events", self._list)]), clock)
        self.calls, self.faults = self.app.calls, self.app.faults

    def env(self, base_url: str) -> dict[str, str]:
        return {"SIGNBOX_BASE_URL": base_url, "SIGNBOX_API_KEY": KEY}

    async def _list(self, request: Request) -> JSONResponse:
        query, call = request.query_params, call_of(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": "unauthorized"}, 401)
        offset, limit = int(query["offset"]), int(query["limit"])
        if limit > 100 or query["order"] not in ("asc", "desc"):
            call.refused = "limit or order"
            return JSONResponse({"error": "bad_request"}, 400)
        since, until = (datetime.fromisoformat(query[name]) for name in ("created_after", "created_before"))
        found = [
            record
            for record in self.records
            if since <= datetime.fromisoformat(record["created_at"]) < until
            and query.get("document_id", record["document"]["id"]) == record["document"]["id"]
        ]
        page = (found if query["order"] == "asc" else found[::-1])[offset : offset + limit]
        call.records = len(page)
        return JSONResponse({"items": page, "total": len(found)})


def _record(number: int, time: str) -> dict[str, Any]:
    document, kind = f"doc-{number // 5}", TYPES[number % 5]
    signer = {
        "id": f"sgn-{number // 5}",
        "name": f"Sunna Sigurdardottir {number // 5}",
        "email": f"signer{number // 5}@example.com",
        "phone": f"+35455501{number % 100:02}",
        "signing_url": f"https://signbox.example/secret/{number:032}",
    }
    return {
        "id": f"evt_{number * 7919 % 100_003:06}",
        "type": kind,
        "created_at": time,
        "document": {"id": document, "title": f"Lease {number // 5}.pdf", "pages": 3 + number % 4},
        "user": {"name": "Olga Owner", "email": "olga@example.com"} if kind != "signer.signed" else None,
        "signer": signer if kind == "signer.signed" else None,
        "message": f"{kind} by {signer['email']}" if kind == "signer.signed" else None,
        "user_agent": "Mozilla/5.0",
        "ip": f"192.0.2.{number % 250}",
    }


def make_sandbox(*, events: int, seed: int, days: int, clock: Clock | None = None) -> Emulator:
    return Emulator(events, seed, days, clock or utc_now)
