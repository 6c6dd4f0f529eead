"""What a user of the client that openapi-python-client generates would write. Prints what `tests/clients/story.py` asks
for, as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from gateway_client import AuthenticatedClient, Client
from gateway_client.api.events import count_events, get_event, list_events
from gateway_client.models import Event, EventPage, Problem, Totals

URL, LATER, SINCE, UNTIL = (os.environ[name] for name in ("GATEWAY_URL", "LATER_URL", "SINCE", "UNTIL"))


def page(client: Client | AuthenticatedClient, **filters: Any) -> EventPage:
    answer = list_events.sync(client=client, **filters)
    assert isinstance(answer, EventPage), answer
    return answer


def walk(client: Client | AuthenticatedClient, limit: int, **filters: Any) -> Iterator[Event]:
    found = page(client, limit=limit, **filters)
    while True:
        yield from found.data
        if found.page.next_cursor is None:
            return
        found = page(client, limit=limit, cursor=found.page.next_cursor)


def problem(client: AuthenticatedClient, **filters: Any) -> dict[str, Any]:
    answer = list_events.sync_detailed(client=client, **filters)
    assert isinstance(answer.parsed, Problem)
    errors = [[error.parameter, error.message] for error in answer.parsed.errors]
    return {"status": int(answer.status_code), "code": answer.parsed.code, "errors": errors}


def words(event: Event) -> list[str | None]:
    assert event.envelope
    assert event.delivery
    return [
        event.type_, event.provider_type, event.category, event.outcome, event.actor.kind, event.envelope.status,
        event.delivery.channel,
    ]  # fmt: skip


def main() -> None:
    some = {"type_": ["recipient.*", "envelope.created"], "order": "asc", "since": SINCE, "until": UNTIL}
    with (
        AuthenticatedClient(URL, os.environ["GATEWAY_KEY"]) as client,
        AuthenticatedClient(URL, "nobody") as nobody,
        Client(LATER) as later,
    ):
        walked = [event.id for event in walk(client, 25, since=SINCE, until=UNTIL)]
        one = get_event.sync(walked[0], client=client, include=["raw"])
        total = count_events.sync(client=client, since=SINCE, until=UNTIL, exact=True)
        assert isinstance(one, Event)
        assert isinstance(total, Totals)
        told = {
            "walked": walked,
            "filtered": [event.id for event in walk(client, 100, **some)],
            "count": total.value,
            "one": one.id,
            "raw": isinstance(one.raw, dict) and bool(one.raw),
            "unauthenticated": problem(nobody),
            "refused": problem(client, since=UNTIL, until=SINCE),
            "later": [words(event) for event in walk(later, 50, since="2026-05-01")],
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
