"""Append what is new to a file, with nothing but Python's own library; a cron job, say. The cursor is kept beside it.

python follow.py trail.ndjson since=2026-05-01      # the first time: from there on; later it goes on by itself
"""

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


def get(path: str, params: list[tuple[str, str]]) -> Any:
    request = urllib.request.Request(
        f"{os.environ['GATEWAY_URL']}{path}?{urllib.parse.urlencode(params)}",
        headers={"Authorization": f"Bearer {os.environ['GATEWAY_KEY']}"},
    )
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (429, 503) and left:
                    time.sleep(int(error.headers["Retry-After"]))
                    continue
                problem = json.load(error)
            sys.exit(f"{problem['status']} {problem['code']}: {problem['detail']}")


def main(trail: str, *given: str) -> None:
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
    main(*sys.argv[1:])
