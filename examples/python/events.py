"""Ask the gateway with httpx: all events that filters select, how many there are, or one event.

python events.py all since=2026-05-01 type=recipient.signed type=envelope.completed > events.ndjson
python events.py count type=notification.failed
python events.py one EVENT_ID
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx

TRIES = 5
Filters = list[tuple[str, Any]]


def get(gateway: httpx.Client, path: str, params: Filters, member: str) -> Any:
    """The answer, which has this member where it is the gateway that answers."""
    for left in reversed(range(TRIES)):
        try:
            answer = gateway.get(path, params=params)
            found = answer.json()
            if not isinstance(found, dict) or ("code" if answer.is_error else member) not in found:
                raise ValueError("what answers is not the gateway")
        except (httpx.RequestError, ValueError) as error:  # ValueError: no JSON, for one
            sys.exit(f"no answer from {gateway.base_url}: {error}")
        if answer.status_code not in (429, 503) or not left:
            break
        # Too many calls, or a source that is down: the gateway says after how many seconds to ask again.
        time.sleep(int(answer.headers["Retry-After"]))
    if answer.is_error:
        # 401: no such key. 422: a parameter is wrong, and `detail` says which and why.
        sys.exit(f"{found['status']} {found['code']}: {found['detail']}")
    return found


def events(gateway: httpx.Client, filters: Filters) -> Iterator[dict[str, Any]]:
    page = get(gateway, "/events", [*filters, ("limit", "200")], "page")
    while True:
        yield from page["data"]
        cursor = page["page"]["next_cursor"]
        if cursor is None:
            return
        page = get(gateway, "/events", [("cursor", cursor)], "page")  # which remembers the filters


def main(what: str = "", *given: str) -> None:
    if what not in ("all", "count", "one") or (what == "one" and len(given) != 1):
        print(__doc__, file=sys.stdout if what == "--help" else sys.stderr)
        sys.exit(0 if what == "--help" else 2)
    if not os.environ.get("GATEWAY_KEY") or not os.environ.get("GATEWAY_URL", "").startswith("http"):
        sys.exit("set GATEWAY_URL (http://127.0.0.1:8000, say) and GATEWAY_KEY")
    headers = {"Authorization": f"Bearer {os.environ['GATEWAY_KEY']}"}
    with httpx.Client(base_url=os.environ["GATEWAY_URL"], headers=headers, timeout=60) as gateway:
        if what == "one":
            print(json.dumps(get(gateway, f"/events/{given[0]}", [], "id"), indent=2))
            return
        filters = [(name, value) for name, _, value in (one.partition("=") for one in given)]
        if what == "count":
            print(get(gateway, "/events/count", [*filters, ("exact", "true")], "value")["value"])
            return
        for event in events(gateway, filters):
            print(json.dumps(event))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # such as `| head`, which has what it wants; the shell's own status for it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
