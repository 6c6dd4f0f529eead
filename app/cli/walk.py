"""Walk through pages by cursor, with retries of temporary failures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator
from functools import partial
from time import sleep
from typing import TypeVar

from app.cli.client import Client, Problem
from app.cli.failures import TRANSIENT, USAGE, Failure, print_error, sentence
from app.forward import Json, Page, Pairs

MAX_PAGE = 1000  #: events in one page of the API
POLL = 5.0  #: seconds between a follower's requests while there are no new events
_ATTEMPTS = 6  #: for one page: about a minute in total
SEGMENT = 5000  #: events of one signed segment, held in memory
_LONGEST = 60.0  #: seconds to wait between two attempts

Found = TypeVar("Found")


def walk(
    client: Client, pairs: Pairs, *, cursor: str | None = None, most: int | None = None, follow: bool = False
) -> Iterator[Page]:
    """Yield pages until none is left, or `most` (at least 1) events were read. A `cursor` replaces all of `pairs`
    except `partial`. `follow`: then wait for new events, without end.

    The first page is requested once. For temporary failures, later ones are requested up to six times, or without limit
    if `follow`, with growing pauses. With `partial`, a failure of only those sources that failed on the previous page
    is not retried. Raises Problem."""
    asked: Pairs = pairs if cursor is None else _after(cursor, pairs)
    attempts, left = 1.0, most
    failed: set[str] = set()
    while True:
        limit = MAX_PAGE if left is None else min(left, MAX_PAGE)
        page = _with_retries(partial(client.page, [*asked, ("limit", str(limit))]), attempts, failed)
        if left is not None:
            left -= len(page.events)
        yield page
        if left == 0 or page.next_cursor is None or not (page.has_more or follow):
            return
        asked = _after(page.next_cursor, pairs)
        if follow:
            attempts = math.inf
            if not page.has_more:
                sleep(POLL)
        else:
            attempts, failed = _ATTEMPTS, {one["name"] for one in page.sources if one["status"] == "failed"}


def signed_walk(client: Client, pairs: Pairs, *, cursor: str | None = None) -> Iterator[tuple[Page, bytes]]:
    """Yield the signed segments of an NDJSON export: events as a page, and the segment's bytes. Each is requested up to
    six times. Raises Problem, and Failure if the gateway does not sign."""
    while True:
        asked = [*(pairs if cursor is None else [("cursor", cursor)]), ("limit", str(SEGMENT))]
        page, data = _with_retries(partial(_segment, client, asked), _ATTEMPTS)
        yield page, data
        if (cursor := page.next_cursor) is None:
            return


def _segment(client: Client, asked: Pairs) -> tuple[Page, bytes]:
    data = client.segment(asked)
    try:
        *events, end = map(json.loads, data.splitlines())
        following, reason = end["cursor"], end.get("reason")
    except (ValueError, TypeError, KeyError):
        raise Problem("no_answer", "The export ended without its last line; try again.") from None
    if "manifest" not in end:
        raise Failure("the gateway signs no exports: set GATEWAY_SIGNING_KEY_FILE for it", USAGE)
    if following is not None and not events and reason not in ("deadline", "limit"):
        # From the same cursor: a missing segment would break the chain of manifests.
        raise Problem(str(reason), f"The gateway could not read on ({reason}).")
    return Page(events, following is not None, following, {}, _states(end), unproven=reason == "unproven"), data


def _states(end: Json) -> list[Json]:
    """Return the sources of an export's last line in the form of a page."""
    refused, notes = end.get("forbidden") or {}, end.get("notes") or {}
    unread = {name: f"{number} records that cannot be read" for name, number in (end.get("bad_records") or {}).items()}
    states = [{"name": name, "status": "forbidden", "reason": reason} for name, reason in refused.items()]
    reasons = [*notes.items(), *unread.items()]
    return [*states, *({"name": name, "status": "ok", "reason": reason} for name, reason in reasons)]


def _after(cursor: str, pairs: Pairs) -> Pairs:
    return [("cursor", cursor), *(pair for pair in pairs if pair[0] == "partial")]


def _with_retries(call: Callable[[], Found], attempts: float, failed: Collection[str] = ()) -> Found:
    """Return the result of `call`, within `attempts`. Failures of only the `failed` sources are not retried."""
    attempt, noticed = 0, ""
    while True:
        attempt += 1
        try:
            return call()
        except Problem as problem:
            if problem.code not in TRANSIENT or attempt >= attempts:
                raise
            if problem.sources and all(source.get("name") in failed for source in problem.sources):
                raise
            pause = min(_LONGEST, max(problem.retry_after or 0.0, 2.0 ** min(attempt - 1, 6)))
            notice = f"{sentence(problem)}; waiting to try again"
            if notice != noticed:
                print_error(notice)
                noticed = notice
        sleep(pause)
