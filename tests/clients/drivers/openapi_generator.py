"""A program on the Python client of openapi-generator: prints the ids of a window, the refusal of a wrong key, and
values of a later gateway's event.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

from gateway_client import ApiClient, Configuration, Event, EventsApi
from gateway_client.exceptions import UnauthorizedException


def client(url: str, key: str | None = None) -> ApiClient:
    return ApiClient(Configuration(host=url, access_token=key))


async def events(api: EventsApi, **filters: Any) -> AsyncIterator[Event]:
    page = await api.list_events(**filters)
    while True:
        for event in page.data:
            yield event
        if page.page.next_cursor is None:
            return
        page = await api.list_events(cursor=page.page.next_cursor)


async def main() -> None:
    names = ("GATEWAY_URL", "GATEWAY_KEY", "LATER_URL", "SINCE", "UNTIL")
    url, key, later_url, since, until = (os.environ[name] for name in names)
    async with client(url, key) as known, client(url, "nobody") as nobody, client(later_url) as new:
        ids = [event.id async for event in events(EventsApi(known), limit=200, since=since, until=until)]
        later = [[event.type, event.actor.kind, event.outcome] async for event in events(EventsApi(new))]
        try:
            await EventsApi(nobody).list_events()
        except UnauthorizedException as error:
            print(json.dumps({"ids": ids, "later": later, "refused": error.data.code}))


asyncio.run(main())
