"""What a user of the client that openapi-generator generates for Python would write. Prints what
`tests/clients/story.py` asks for, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from gateway_client import (
    ApiClient,
    ApiException,
    Configuration,
    Event,
    EventPage,
    EventsApi,
    Problem,
)
from gateway_client.exceptions import UnauthorizedException, UnprocessableEntityException

URL, LATER, SINCE, UNTIL = (os.environ[name] for name in ("GATEWAY_URL", "LATER_URL", "SINCE", "UNTIL"))


def client(url: str, key: str | None) -> ApiClient:
    return ApiClient(Configuration(host=url, access_token=key))


async def walk(api: EventsApi, limit: int, **filters: Any) -> AsyncIterator[Event]:
    found = await api.list_events(limit=limit, **filters)
    while True:
        for event in found.data:
            yield event
        if found.page.next_cursor is None:
            return
        found = await api.list_events(limit=limit, cursor=found.page.next_cursor)


async def problem(kind: type[ApiException], call: Coroutine[Any, Any, EventPage]) -> dict[str, Any]:
    try:
        await call
    except kind as error:
        body = error.data
        assert isinstance(body, Problem)
        errors = [[fault.parameter, fault.message] for fault in body.errors]
        return {"status": error.status, "code": body.code, "errors": errors}
    raise AssertionError("no problem")


def words(event: Event) -> list[str | None]:
    assert event.envelope
    assert event.delivery
    return [
        event.type, event.provider_type, event.category, event.outcome, event.actor.kind, event.envelope.status,
        event.delivery.channel,
    ]  # fmt: skip


async def main() -> None:
    async with (
        client(URL, os.environ["GATEWAY_KEY"]) as known,
        client(URL, "nobody") as nobody,
        client(LATER, None) as later,
    ):
        api = EventsApi(known)
        some = {"type": ["recipient.*", "envelope.created"], "order": "asc", "since": SINCE, "until": UNTIL}
        walked = [event.id async for event in walk(api, 25, since=SINCE, until=UNTIL)]
        one = await api.get_event(walked[0], include=["raw"])
        total = await api.count_events(since=SINCE, until=UNTIL, exact=True)
        told = {
            "walked": walked,
            "filtered": [event.id async for event in walk(api, 100, **some)],
            "count": total.value,
            "one": one.id,
            "raw": isinstance(one.raw, dict) and bool(one.raw),
            "unauthenticated": await problem(UnauthorizedException, EventsApi(nobody).list_events()),
            "refused": await problem(UnprocessableEntityException, api.list_events(since=UNTIL, until=SINCE)),
            "later": [words(event) async for event in walk(EventsApi(later), 50, since="2026-05-01")],
        }
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
