"""Append what is new to a file, with nothing but Python's own library; a cron job, say. The cursor is kept beside it.

python follow.py trail.ndjson since=2026-05-01      # the first time: from there on; later it goes on by itself
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

TRIES = 5


def call(request: urllib.request.Request) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        return error  # which is an answer, too


def get(path: str, params: list[tuple[str, str]]) -> Any:
    if not os.environ.get("GATEWAY_KEY") or not os.environ.get("GATEWAY_URL", "").startswith("http"):
        sys.exit("set GATEWAY_URL (http://127.0.0.1:8000, say) and GATEWAY_KEY")
    url = f"{os.environ['GATEWAY_URL']}{path}?{urllib.parse.urlencode(params)}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ['GATEWAY_KEY']}"})
    for left in reversed(range(TRIES)):
        try:
            with call(request) as answer:
                found = json.load(answer)
            if not isinstance(found, dict) or ("page" if answer.status == 200 else "code") not in found:
                raise ValueError("what answers is not the gateway")
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no JSON, for one
            sys.exit(f"no answer from {os.environ['GATEWAY_URL']}: {error}")
        if answer.status == 200:
            return found
        if answer.status not in (429, 503) or not left:
            sys.exit(f"{found['status']} {found['code']}: {found['detail']}")
        time.sleep(int(answer.headers["Retry-After"]))


def main(trail: str = "", *given: str) -> None:
    if not trail or trail == "--help":
        print(__doc__, file=sys.stdout if trail else sys.stderr)
        sys.exit(0 if trail else 2)
    kept = Path(f"{trail}.cursor")
    start = [("follow", "true"), ("order", "asc"), ("limit", "200")]
    filters = [(name, value) for name, _, value in (one.partition("=") for one in given)]
    params = [("cursor", kept.read_text())] if kept.exists() else [*start, *filters]
    while True:
        page = get("/events", params)
        with open(trail, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in page["data"])
        # Replaced in one step: whoever is stopped in between has this page twice, and never misses one.
        new = kept.with_suffix(".new")
        new.write_text(page["page"]["next_cursor"])
        new.replace(kept)
        if not page["page"]["has_more"]:
            return
        params = [("cursor", page["page"]["next_cursor"])]


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:  # a file that cannot be read or written
        sys.exit(str(error))
