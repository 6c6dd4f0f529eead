"""Examples for the OpenAPI document: whole answers, with the vendors' names and values taken from the providers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.api.problems import PROBLEMS
from app.providers.base import Provider, TypeMapping

Json = dict[str, Any]

REQUEST_ID = "8f14e45fceea167a5a36dedd4bea2543"
CURSOR = "AedrsDl2Rx2Qg0c3pCl-0VncoPLp1PrD0h6EfCFwcllWX_vm"
_EVENT_ID = "AapxaW4tbm93aGVyZS1lbHNlLWJ1dC1oZXJlLg"

#: What is wrong in the example of each code that is about parameters.
_FAULTS = {
    "cursor_mismatch": (
        "type",
        "differs from the one in the cursor; leave it out or start anew without cursor",
    ),
    "invalid_parameter": ("limit", "must be a whole number from 1 to 1000"),
    "unknown_parameter": ("limits", "is not a parameter of this call; did you mean limit?"),
    "filter_not_applicable": ("flow_id", "does not apply to any of the sources asked for"),
    "invalid_window": ("since", "must be earlier than until"),
}


def problem(code: str) -> Json:
    """The body of an error."""
    status, title = PROBLEMS[code]
    fault = _FAULTS.get(code)
    failed = code.startswith("source_")
    wait = 12.0 if code == "source_unavailable" else None
    source = {"name": "main", "code": code, "detail": title, "provider_request_id": None, "retry_after": wait}
    return {
        "type": f"/problems/{code}",
        "title": title,
        "status": status,
        "detail": ": ".join(fault) if fault else f"main: {title}" if failed else title,
        "instance": "/events",
        "code": code,
        "request_id": REQUEST_ID,
        "errors": [{"parameter": fault[0], "message": fault[1]}] if fault else [],
        "sources": [source] if failed else [],
    }


def event(providers: Mapping[str, Provider]) -> Json:
    """An event of the first provider that knows signatures, or else of the first one."""
    provider, row = _signature(providers)
    return {
        "id": _EVENT_ID,
        "source": "main",
        "provider": provider,
        "type": row.type,
        "category": row.category,
        "outcome": "success",
        "provider_type": row.provider_type,
        "provider_id": "6",
        "occurred_at": "2026-05-08T11:06:01.560000Z",
        "description": "Signed by Anna Sample.",
        "actor": {"kind": "recipient", "id": "r-17", "name": "Anna Sample", "email": "anna@example.com"},
        "envelope": {
            "id": "e-4711",
            "name": "lease.pdf",
            "status": "completed",
            "owner": "jonas@example.com",
            "flow_id": None,
            "workspace_id": None,
            "sequence_id": None,
        },
        "recipient": {
            "id": "r-17",
            "name": "Anna Sample",
            "email": "anna@example.com",
            "phone": "***",
            "national_id": "***",
            "signature_type": "qualified",
        },
        "delivery": None,
        "user_agent": "Mozilla/5.0",
        "data": {},
        "raw": None,
    }


def event_page(providers: Mapping[str, Provider]) -> Json:
    """A page of that event."""
    provider, _ = _signature(providers)
    return {
        "data": [event(providers)],
        "page": {
            "limit": 1,
            "order": "desc",
            "has_more": True,
            "next_cursor": CURSOR,
            "scanned_to": None,
        },
        "window": {"since": "2026-05-01T00:00:00Z", "until": "2026-06-01T00:00:00Z"},
        "total": None,
        "sources": [
            {
                "name": "main",
                "provider": provider,
                "status": "ok",
                "reason": None,
                "complete_through": "2026-05-31T23:59:30Z",
            }
        ],
    }


def exported(providers: Mapping[str, Provider]) -> str:
    """An export of one event."""
    return f'{json.dumps(event(providers))}\n{{"cursor":null,"complete":true}}\n'


def streamed(providers: Mapping[str, Provider]) -> str:
    """A stream, a while after it began."""
    first = f"retry: 3000\nid: {CURSOR}\n\n"
    return f"{first}id: {CURSOR}\ndata: {json.dumps(event(providers))}\n\n: heartbeat\nid: {CURSOR}\n\n"


def provider_types(providers: Mapping[str, Provider], type_: str) -> Sequence[str]:
    """The vendors' own values that become `type_`."""
    return [row.provider_type for provider in providers.values() for row in provider.mapping if row.type == type_]


def _signature(providers: Mapping[str, Provider]) -> tuple[str, TypeMapping]:
    rows = [(name, row) for name, provider in providers.items() for row in provider.mapping]
    signed = [pair for pair in rows if pair[1].type == "recipient.signed"]
    return (signed or rows)[0]
