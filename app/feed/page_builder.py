"""Make one page: read the streams concurrently, filter, merge, and compute where the next page begins."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from app.domain.errors import SourceError, SourceForbidden, SourcesFailed, SourceTimeout, SourceUnauthorized
from app.domain.position import Position, is_beyond, later_position
from app.domain.query import GATEWAY_FILTERS, JOINED_FILTERS, OWN_FILTERS
from app.domain.times import DAY, SECOND
from app.feed.model import UNKNOWN_SHARE, FeedCall, Page, Reading, SourceStatus, gaps_of
from app.feed.visibility import filter_for, native_query
from app.paging.cursor import StreamState, WalkState
from app.paging.merge import Merge
from app.providers.base import ENOUGH_BYTES, CallBudget, Join, ReadRequest, Record
from app.providers.http.concurrency import gather_all, in_slices

_PATIENCE = 60 * SECOND  #: by which a `Date` may be behind, or stand still, before a follower gets a reason
_MAX_CALLS = 64  #: of one read without gateway filters
_MOST_BYTES = 8 * ENOUGH_BYTES  #: of one source's responses with records that the gateway's filters throw away


class PageBuilder:
    """One page of one walk. `skipped`: by source that a filter excludes, the parameters. `shown`: whether the records
    are shown, not only counted. `most_calls` of a source, after which the page ends; None: GATEWAY_SCAN with gateway
    filters, else none."""

    def __init__(
        self,
        walk: WalkState,
        call: FeedCall,
        *,
        skipped: Mapping[str, Sequence[str]] = MappingProxyType({}),
        shown: bool = True,
        most_calls: int | None = None,
    ) -> None:
        self._walk, self._call, self._skipped = walk, call, skipped
        caller, sources, pseudonyms = call.caller, call.sources, call.settings.pseudonyms
        self._spent = {name: CallBudget(deadline=call.deadline) for name in walk.sources}
        self._status = {name: SourceStatus(name, sources[name].provider) for name in walk.sources}
        native = native_query(walk.query, caller)
        self._join: Join = "shown" if shown else "none"
        if any(getattr(walk.query, name) is not None for name in JOINED_FILTERS):
            self._join = "judged"
        filters = (
            self._join == "judged"
            or native != walk.query
            or any(getattr(walk.query, name) not in (None, ()) for name in GATEWAY_FILTERS + OWN_FILTERS)
        )
        self._most_calls = call.settings.scan if most_calls is None and filters else most_calls
        #: By source, if the gateway filters.
        self._keeps: dict[str, Callable[[Record], bool]] = {}
        if filters:
            self._keeps = {name: filter_for(walk.query, sources[name], caller, pseudonyms) for name in walk.sources}
        readings: list[Reading] = []
        # A follower reads up to the present; the ceiling cuts off records younger than settle.
        until = call.now + DAY if walk.until is None else walk.until
        for source in map(sources.__getitem__, walk.sources):
            for name in source.streams(walk.query):
                state = walk.sources[source.name].get(name)
                if state is not None and state.done:
                    continue
                position = walk.position if state is None or state.position is None else state.position
                hint, budget = None if state is None else state.hint, self._spent[source.name]
                span = ReadRequest(native, walk.since, until, position, hint, self._join)
                reader = source.reader(name, span, budget)
                readings.append(Reading(source.name, name, position, reader=reader, budget=budget, old=state))
        self._merge = Merge(readings, ascending=walk.query.ascending, limit=walk.limit)
        self._streams = frozenset((reading.source, reading.name) for reading in readings)
        self._usual = call.shares.get(self._streams, {})

    async def page(self, seal: Callable[[WalkState], str], *, may_exceed: bool = False) -> Page:
        """`may_exceed`: return up to twice the limit if that many were read. Raises SourcesFailed."""
        walk, merge = self._walk, self._merge
        while waiting := merge.advance():
            if self._shown_bytes() >= ENOUGH_BYTES and merge.end_early():
                break
            await gather_all(map(self._read, waiting))
            if walk.query.follow:
                # Every source is complete up to here.
                active = {reading.source for reading in merge.streams if not reading.failed}
                merge.set_ceiling(min(map(self._settled, active), default=self._call.now))
        # Only with `partial`; otherwise `_fail` has raised the first one. The caller's cursor stays valid.
        errors = [status.error for status in self._status.values() if status.error is not None]
        if (
            errors
            and not merge.records
            and all(one.failed or one.refused or merge.finished(one) for one in merge.streams)
        ):
            raise SourcesFailed(errors, all_failed=True)
        if may_exceed and len(merge.records) == walk.limit:
            merge.extend()
        if len(merge.records) >= UNKNOWN_SHARE:  # a smaller page shows little, and its first request is as large
            given, shares = Counter(merge.origins), dict[tuple[str, str], int]()
            for one in merge.streams:
                share = 1000 * given[one] // len(merge.records)
                shares[one.source, one.name] = (self._usual.get((one.source, one.name), share) + share) // 2
            self._call.shares[self._streams] = shares
        boundary = merge.boundary() or walk.position
        stopped = merge.has_more and len(merge.records) < walk.limit and any(one.stopped for one in merge.streams)
        cursor = None
        if merge.has_more or walk.query.follow:
            cursor = seal(self._state(boundary))
        return Page(
            records=merge.records,
            limit=walk.limit,
            order=walk.query.order,
            has_more=merge.has_more,
            next_cursor=cursor,
            scanned_to=boundary[0] if stopped else None,
            window=walk.window,
            sources=self._statuses(),
            include=frozenset(walk.include),
            position=boundary,
            cursor_after=lambda index: seal(self._state(merge.records[index].key, index)),
        )

    # ---- reading -------------------------------------------------------------------------------------------------

    async def _read(self, reading: Reading) -> None:
        status, spent = self._status[reading.source], reading.budget
        left = _MAX_CALLS
        if self._most_calls is not None:
            left = self._most_calls - spent.calls
            is_spent = left <= 0 or time.monotonic() >= self._call.half_time or spent.bytes >= _MOST_BYTES
            if reading.was_read and (is_spent or (self._join == "judged" and spent.joins <= 0)):
                if is_beyond(reading.frontier, reading.position, self._walk.query.ascending):
                    reading.stopped = True
                    return
                # A page without progress would be followed by the same page: a tie run longer than the budget is read
                # to its end.
                left = self._most_calls
        usual = self._usual.get((reading.source, reading.name))
        # Including the record that shows whether there are more.
        missing = self._merge.limit + 1 - len(self._merge.records)
        want = reading.want(max(1, missing), usual, len(self._merge.streams))
        first, reading.was_read = not reading.was_read, True
        try:
            async with asyncio.timeout(max(0.0, self._call.deadline - time.monotonic())):
                batch = await reading.reader.read(want, max(1, left))
            reading.take(batch, follow=self._walk.query.follow)
        except TimeoutError:
            self._fail(reading, SourceTimeout("the provider did not answer within the request's deadline"))
        except SourceForbidden as error:
            if first and (reading.old is None or reading.old.refused):
                # The page goes on without the stream; the cursor keeps its position.
                reading.refused = reading.ended = True
                if status.status != "failed":
                    status.status = "forbidden"
                self._note(reading.source, f"{reading.name}: {error.detail}")
            else:
                # Continuing without a stream that was readable before would lose its events.
                detail = f"{error.detail}: {reading.name} was readable before"
                self._fail(reading, SourceUnauthorized(detail, provider_request_id=error.provider_request_id))
        except SourceError as error:
            self._fail(reading, error)
        else:
            kept = batch.records
            if keeps := self._keeps.get(reading.source):
                kept = [record async for some in in_slices(batch.records) for record in some if keeps(record)]
            reading.kept += len(kept)
            if batch.reason is not None:
                self._note(reading.source, f"{reading.name}: {batch.reason}")
            status.unproven |= batch.unproven
            status.assumes |= batch.assumes
            if bad := batch.bad_records - status.bad_records:
                status.bad_records |= bad
                self._call.settings.observer.on_bad_records(reading.source, bad.total())
            self._merge.add(reading, kept, complete_until=batch.complete_until, ended=batch.ended)

    def _shown_bytes(self) -> int:
        """Bytes of the responses with records that this page may show, about."""
        shown = 0
        for name, spent in self._spent.items():
            own = [reading for reading in self._merge.streams if reading.source == name]
            seen = sum(reading.seen for reading in own)
            shown += spent.bytes * sum(reading.kept for reading in own) // max(1, seen)
        return shown

    def _note(self, source: str, reason: str) -> None:
        """Add a reason to the status of a source."""
        status = self._status[source]
        if reason not in (status.reason or ""):
            status.reason = "; ".join(filter(None, (status.reason, reason)))

    def _fail(self, reading: Reading, error: SourceError) -> None:
        error.source = reading.source
        if not self._walk.partial:
            raise SourcesFailed([error])
        self._merge.fail(reading.source)
        status = self._status[reading.source]
        status.status, status.error = "failed", error

    def _settled(self, name: str) -> int:
        """Return the time up to which a source is complete: the earlier of our clock and its own, less settle."""
        now, date = self._call.now, self._spent[name].as_of
        return min(now, now if date is None else date) - int(self._call.sources[name].settle * SECOND)

    # ---- the page's cursor and sources -----------------------------------------------------------------------------

    def _state(self, boundary: Position, cut: int | None = None) -> WalkState:
        """Return the walk's state after this page; with `cut`, after the record of that index, whose key is `boundary`,
        as if it were the last."""
        walk, merge = self._walk, self._merge
        end = len(merge.records) if cut is None else cut + 1
        given, withheld = Counter(merge.origins[:end]), set(merge.origins[end:])
        states: dict[str, dict[str, StreamState]] = {name: {} for name in walk.sources}
        for name, streams in walk.sources.items():
            states[name].update({stream: state for stream, state in streams.items() if state.done})
        for reading in merge.streams:
            whole = reading not in withheld
            if whole and merge.finished(reading):
                states[reading.source][reading.name] = StreamState(done=True)
                continue
            # A stream with withheld records, even a failed one, has no other ones between its last and the boundary.
            withheld_from = later_position(boundary, reading.position, walk.query.ascending)
            position = merge.resume(reading, boundary) if whole else withheld_from
            hint = reading.reader.hint(position) if reading.was_read else None
            old = reading.old or StreamState()
            states[reading.source][reading.name] = StreamState(
                None if position == boundary else position,
                hint or old.hint,
                share=1000 * given[reading] // end if end else old.share,
                refused=reading.refused,
            )
        gaps = gaps_of(self._status.values(), walk.gaps)
        return msgspec.structs.replace(walk, position=boundary, sources=states, gaps=gaps)

    def _statuses(self) -> list[SourceStatus]:
        until = self._walk.until
        for name, status in self._status.items():
            spent = self._spent[name]
            status.calls, status.records = spent.calls, spent.records
            refused = [stream.refused for stream in self._merge.streams if stream.source == name]
            if self._walk.query.follow and spent.as_of is not None and self._call.now - spent.as_of > _PATIENCE:
                self._note(name, "its Date header is over a minute behind: newer events wait for it")
            # A source that refuses all of its streams shows nothing, and is complete up to no time.
            if status.status != "failed" and not (refused and all(refused)):
                settled = self._settled(name)
                status.complete_through = settled if until is None else min(until, settled)
        for name, parameters in self._skipped.items():
            provider, verb = self._call.sources[name].provider, "do" if len(parameters) > 1 else "does"
            reason = f"{', '.join(parameters)} {verb} not apply to {provider}"
            self._status[name] = SourceStatus(name, provider, "skipped", reason)
        return [self._status[name] for name in self._call.sources if name in self._status]
