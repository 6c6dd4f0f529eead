"""Walk through pages by cursor, with retries of temporary failures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

import msgspec

from app.cli.client import Client, Json, Page, Pairs, Problem
from app.cli.failures import TRANSIENT, USAGE, Failure, print_error, sentence

MAX_PAGE = 1000  #: events that the API gives at a time
POLL = 5.0  #: seconds between a follower's requests while there are no new events
_ATTEMPTS = 6  #: of one page, before a walk gives up: about a minute in all
SEGMENT = 5000  #: events of one signed segment, which is held in memory
_LONGEST = 60.0  #: seconds to wait between two attempts

Found = TypeVar("Found")


class Waiting(msgspec.Struct, frozen=True):
    """How to wait; tests replace it. `sleep` takes seconds; `notice` receives the reason."""

    sleep: Callable[[float], None] = time.sleep
    notice: Callable[[str], None] = print_error


def walk(
    client: Client,
    pairs: Pairs,
    *,
    cursor: str | None = None,
    most: int | None = None,
    waiting: Waiting | None = None,
) -> Iterator[Page]:
    """Page after page until none is left, or `most` (at least 1) events were read. A `cursor` replaces all of `pairs`
    but `partial`.

    The first page is requested once; each further one up to six times, with growing pauses, if its failure is
    temporary. With `partial`, a failure of only the sources that failed on the page before is not retried. Raises
    Problem."""
    waiting = waiting or Waiting()
    asked: Pairs = pairs if cursor is None else _after(cursor, pairs)
    attempts, left = 1, most
    failed: set[str] = set()
    while True:
        page = _page(client, [*asked, _limit(left)], attempts, waiting, failed)
        failed = {source["name"] for source in page.sources if source["status"] == "failed"}
        if left is not None:
            left -= len(page.events)
        yield page
        if not page.has_more or page.next_cursor is None or left == 0:
            return
        asked, attempts = _after(page.next_cursor, pairs), _ATTEMPTS


def signed_walk(
    client: Client, pairs: Pairs, *, cursor: str | None = None, waiting: Waiting | None = None
) -> Iterator[tuple[Page, bytes]]:
    """The signed segments of an export in NDJSON: events as a page, and the bytes of the segment. Retries as `walk`.
    Raises Problem, and Failure where the gateway does not sign."""
    waiting = waiting or Waiting()
    attempts, stuck = 1, 0
    while True:
        asked = [*(pairs if cursor is None else [("cursor", cursor)]), ("limit", str(SEGMENT))]
        data = _patient(lambda asked=asked: client.segment(asked), attempts, waiting)  # type: ignore[misc]
        try:
            *events, end = map(json.loads, data.splitlines())
            following, reason = end["cursor"], end.get("reason")
        except (ValueError, TypeError, KeyError):
            raise Problem("no_answer", "The export ended without its last line; try again.") from None
        if "manifest" not in end:
            raise Failure("the gateway signs no exports: set GATEWAY_SIGNING_KEY_FILE for it", USAGE)
        attempts = _ATTEMPTS
        if following is not None and not events and reason not in ("deadline", "limit"):
            # From the same cursor again: a segment that is left out would break the chain of manifests.
            stuck += 1
            if stuck == _ATTEMPTS:
                raise Problem(str(reason), f"The gateway could not read on ({reason}).")
            waiting.sleep(2.0**stuck)
            continue
        stuck = 0
        yield Page(events, following is not None, following, {}, _states(end)), data
        if following is None:
            return
        cursor = following


def _states(end: Json) -> list[Json]:
    """What an export's last line has of its sources, as a page has it."""
    refused, unread = end.get("forbidden") or {}, end.get("bad_records") or {}
    states = [{"name": name, "status": "forbidden", "reason": reason} for name, reason in refused.items()]
    reasons = {name: f"{number} records that cannot be read" for name, number in unread.items()}
    return [*states, *({"name": name, "status": "ok", "reason": reason} for name, reason in reasons.items())]


def follow(client: Client, pairs: Pairs, *, most: int | None = None, waiting: Waiting | None = None) -> Iterator[Page]:
    """Existing pages, then new ones, for ever or until `most` events were read. Temporary failures are retried without
    limit, but for the first page. Raises Problem."""
    waiting = waiting or Waiting()
    asked, left = pairs, most
    attempts: int | None = 1
    while True:
        page = _page(client, [*asked, _limit(left)], attempts, waiting)
        if left is not None:
            left -= len(page.events)
        yield page
        if left == 0 or page.next_cursor is None:
            return
        asked, attempts = _after(page.next_cursor, pairs), None
        if not page.has_more:
            waiting.sleep(POLL)


def _after(cursor: str, pairs: Pairs) -> Pairs:
    return [("cursor", cursor), *(pair for pair in pairs if pair[0] == "partial")]


def _limit(left: int | None) -> tuple[str, str]:
    return "limit", str(MAX_PAGE if left is None else min(left, MAX_PAGE))


def _page(client: Client, pairs: Pairs, attempts: int | None, waiting: Waiting, failed: Collection[str] = ()) -> Page:
    return _patient(lambda: client.page(pairs), attempts, waiting, failed)


def _patient(call: Callable[[], Found], attempts: int | None, waiting: Waiting, failed: Collection[str] = ()) -> Found:
    """The result of `call`, within `attempts` (None: any number). Failures of only the `failed` sources are not
    retried."""
    attempt, noticed = 0, ""
    while True:
        attempt += 1
        try:
            return call()
        except Problem as problem:
            if problem.code not in TRANSIENT or (attempts is not None and attempt >= attempts):
                raise
            if problem.sources and all(source.get("name") in failed for source in problem.sources):
                raise
            pause = min(_LONGEST, max(problem.retry_after or 0.0, 2.0 ** min(attempt - 1, 6)))
            notice = f"{sentence(problem)}; waiting to try again"
            if notice != noticed:
                waiting.notice(notice)
                noticed = notice
        waiting.sleep(pause)
