"""Answers of a provider, kept for seconds: equal reads at the same time, or shortly after one another, are one call, in
this process and, where state is shared, in all replicas. Off by default (GATEWAY_PAGE_CACHE).

Whose rights? None: what is kept is what the provider answered to the source's own credentials, and the key is the whole
call. What a caller may see of it is judged and masked behind this, for each caller; and where a right changes what the
provider is asked, it is another call.

What keeps pages right is that **no reader goes back in time**. Readers draw conclusions from several answers (a list is
complete because a count says so; a log only grows), which hold only if each was made after those before it. So a
reader is given a kept answer only if that was asked for after everything that it had read before had come in; whatever
it sees is then what the provider showed, in that order. Only a walk's first page reads kept answers: the pages behind
a cursor must not miss what the first one left to them. And an answer without a `Date` is not kept: nobody could tell
how old it is, and up to when a page made of it is complete.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx
import msgspec
from cachetools import TLRUCache

from app.domain.errors import SourceError
from app.providers.base import CallBudget, CommonSettings, Seen
from app.providers.http.responses import Answer
from app.providers.http.single_flight import SingleFlight, turn_to_make
from app.providers.shared.interface import Shared, SharedStateDown

_MOST = 32 * 1024 * 1024  #: bytes of answers kept in memory, of one source
_OVERHEAD = 512  #: bytes of an answer beside its body, about
_MOST_SHARED = 1024 * 1024  #: bytes of an answer that is shared with other replicas

Ask = Callable[[], Awaitable[Answer]]


class Kept(msgspec.Struct, frozen=True):
    """An answer; when it was asked for (at the earliest) and had come in (at the latest), on this process's clock and
    on the shared one; until when it is good, on this process's."""

    answer: Answer
    asked: float
    came: float
    asked_shared: float
    came_shared: float
    until: float

    @property
    def is_good(self) -> bool:
        """Whether others may be given it."""
        return self.answer.status == 200 and self.answer.date is not None

    def is_behind(self, seen: Seen) -> bool:
        """Whether it certainly tells of a later time than what was seen, on either clock."""
        return self.asked >= seen.here or self.asked_shared >= seen.shared


class KeptAnswers:
    """Of one source, `name`. `common.page_cache` (seconds, above 0): how old an answer may be."""

    def __init__(self, name: str, common: CommonSettings) -> None:
        self._name, self._seconds, self._shared = name, common.page_cache, common.shared
        self._observer = common.observer
        self._kept: TLRUCache[bytes, Kept] = TLRUCache(
            _MOST, lambda _, kept, now: kept.until, time.monotonic, lambda kept: len(kept.answer.body) + _OVERHEAD
        )
        self._flights: SingleFlight[Kept] = SingleFlight()

    async def get(self, call: bytes, spent: CallBudget, ask: Ask) -> Answer:
        """The answer to `call`, which `ask` makes. Raises what `ask` raises, and nobody else's error."""
        asked = False

        async def ask_provider() -> Answer:
            nonlocal asked
            asked = True
            self._observer.on_kept(self._name, False)
            return await ask()

        # A count that is made again behind an answer is another question: it must not take the first one's place.
        spent.seen.asked[call] += 1
        call += spent.seen.asked[call].to_bytes(4)
        seen = msgspec.structs.replace(spent.seen)
        # Calls made side by side are all judged by what was seen before the first of them.
        await asyncio.sleep(0)
        kept = self._kept.get(call)
        if kept is None or not kept.is_behind(seen):
            kept = await self._join(call, spent, seen, ask_provider)
        if not asked:
            self._observer.on_kept(self._name, True)
        spent.cost.good_until = min(spent.cost.good_until, kept.until if kept.is_good else -math.inf)
        spent.seen.here = max(spent.seen.here, kept.came)
        spent.seen.shared = max(spent.seen.shared, kept.came_shared)
        return kept.answer

    async def _join(self, call: bytes, spent: CallBudget, seen: Seen, ask: Ask) -> Kept:
        leads = False

        def begin() -> Coroutine[Any, Any, Kept]:
            nonlocal leads
            leads = True
            return self._find(call, spent, seen, ask)

        try:
            kept = await self._flights.join(call, begin)
        except SourceError:
            if leads:
                raise
        else:
            if leads or (kept.is_good and kept.is_behind(seen)):
                return kept
        # What went wrong for another (its deadline, its place in the line) is not for this one to suffer.
        return await self._ask(ask)

    async def _find(self, call: bytes, spent: CallBudget, seen: Seen, ask: Ask) -> Kept:
        """As another replica was answered, or asked for here, for all."""
        if self._shared is None:
            return self._keep(call, await self._ask(ask))
        key = self._shared.key("page", self._name, call)
        patience = (spent.deadline - time.monotonic()) / 2
        async with turn_to_make(self._shared, key, patience) as held:
            kept = None if held is None else self._read(held.value, held.left)
            if kept is None or not kept.is_behind(seen):
                kept = await self._ask(ask)
                await self._share(self._shared, key, kept)
        return self._keep(call, kept)

    async def _ask(self, ask: Ask) -> Kept:
        asked_shared = await self._moment(-math.inf)
        asked = time.monotonic()
        answer = await ask()
        came = time.monotonic()
        came_shared = math.inf if asked_shared == -math.inf else await self._moment(math.inf)
        return Kept(answer, asked, came, asked_shared, came_shared, asked + self._seconds)

    async def _moment(self, otherwise: float) -> float:
        if self._shared is not None:
            with suppress(SharedStateDown):
                return await self._shared.state.moment()
        return otherwise

    def _keep(self, call: bytes, kept: Kept) -> Kept:
        if kept.is_good:
            with suppress(ValueError):  # larger than all that may be kept
                self._kept[call] = kept
        return kept

    async def _share(self, shared: Shared, key: str, kept: Kept) -> None:
        left = kept.until - time.monotonic()
        if kept.is_good and left > 0 and len(kept.answer.body) <= _MOST_SHARED and kept.came_shared < math.inf:
            packed = _PACK.encode((kept.answer.date, kept.asked_shared, kept.came_shared, kept.answer.body))
            with suppress(SharedStateDown):
                await shared.put(key, packed, left)

    def _read(self, packed: bytes, left: float) -> Kept | None:
        """None for what another version wrote."""
        try:
            date, asked, came, body = _UNPACK.decode(packed)
        except msgspec.MsgspecError:
            return None
        now = time.monotonic()
        # On this process's clock it came now, at the latest, and was asked for nobody knows when.
        answer = Answer(200, body, httpx.Headers(), date)
        return Kept(answer, -math.inf, now, asked, came, now + min(left, self._seconds))


_PACK = msgspec.msgpack.Encoder()
_UNPACK = msgspec.msgpack.Decoder(tuple[int, float, float, bytes])
