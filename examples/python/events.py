"""Page through events with a client that openapi-python-client generates; prints one JSON object a line.

pip install openapi-python-client
openapi-python-client generate --path ../../openapi/openapi.json --meta none --output-path gateway_client
python events.py --since 2026-05-01 --type "recipient.*" --type envelope.completed
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator

from gateway_client import AuthenticatedClient
from gateway_client.api.events import list_events
from gateway_client.models import Event, EventPage, Problem
from gateway_client.types import UNSET


def events(client: AuthenticatedClient, since: str | None, until: str | None, types: list[str]) -> Iterator[Event]:
    page = checked(list_events.sync(client=client, limit=200, since=since or UNSET, until=until or UNSET, type_=types))
    while True:
        yield from page.data
        if page.page.next_cursor is None:
            return
        page = checked(list_events.sync(client=client, cursor=page.page.next_cursor))  # which contains the filters


def checked(response: EventPage | Problem | None) -> EventPage:
    if isinstance(response, Problem):
        sys.exit(f"{response.status} {response.code}: {response.detail}")
    if response is None:
        sys.exit("the response is not the gateway's")
    return response


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--since")
    parser.add_argument("--until")
    parser.add_argument("--type", action="append", default=[], dest="types")
    given = parser.parse_args()
    with AuthenticatedClient(os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]) as client:
        for event in events(client, given.since, given.until, given.types):
            print(json.dumps(event.to_dict()))


if __name__ == "__main__":
    main()
