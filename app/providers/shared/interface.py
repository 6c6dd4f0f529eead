"""What the replicas of one gateway hold together, so that many of them cost a provider what one does.

`SharedState` is the seam. `app.providers.shared.redis` keeps it in Redis or Valkey, `app.providers.shared.memory` in
this process; both pass the same tests. Nothing rests on it: whoever is told `SharedStateDown` goes on alone, with what
this process knows.

`Shared` is what the rest of the gateway uses: it gives every value a name that says nothing about it, and seals what is
kept, so that a store that others can read or write shows no personal datum and can forge nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from app.providers.http.circuit_breaker import Bulletin

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.util import WindowStats

#: Begins every key. The number is the version of what is kept: another one shares nothing with this.
PREFIX = "audit-gateway:1"


class SharedStateDown(Exception):
    """The shared state cannot be had now. Go on alone; this says nothing about the request."""


class CachedValue(msgspec.Struct, frozen=True):
    """A value that was found, and the seconds for which it is still kept."""

    value: bytes
    left: float


class SharedSourceState(msgspec.Struct, frozen=True):
    """How a source stands with all replicas: `pause`, seconds for which its provider asked to be left alone; `circuit`,
    None where nothing is known of it."""

    pause: float
    circuit: Bulletin | None


class SharedState(Protocol):
    """Durations in seconds. Keys are short texts without anything personal in them. Every method raises SharedStateDown
    rather than wait for long, and whatever it finds there is checked."""

    async def get(self, key: str) -> CachedValue | None:
        """The value, if there is one."""

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for so long."""

    async def moment(self) -> float:
        """Now, on the one clock that all replicas can read; in seconds, since some time or other."""

    async def claim(self, key: str, owner: str, seconds: float) -> bool:
        """Become the only owner of `key` for so long; True also where `owner` is it already: then it is renewed."""

    async def release(self, key: str, owner: str) -> None:
        """Give `key` up, if `owner` still has it."""

    async def take(self, key: str, rate: float) -> float:
        """One of `rate` calls a second, of which a second's worth (at least one) may go at once. 0: it was taken;
        otherwise the seconds after which to ask again."""

    async def count(self, item: RateLimitItem, name: str) -> tuple[bool, WindowStats]:
        """Count one call of `name` against a rate: whether it was allowed, and how things stand then."""

    async def standing(self, source: str) -> SharedSourceState:
        """How a source stands."""

    async def pause(self, source: str, seconds: float) -> None:
        """The provider asked for it. The longest pause that was asked for holds."""

    async def publish(self, source: str, bulletin: Bulletin, owner: str) -> Bulletin:
        """Tell the others what a circuit is now. Returns what holds: this one, if its version is the highest. In the
        same step `owner` gives the probe up, if it has it."""

    async def claim_probe(self, source: str, version: int, owner: str, seconds: float) -> bool:
        """Become the one in all replicas who may make a call, for so long at the most. Only where the circuit is still
        what it was in `version`, and its time is up."""

    async def release_probe(self, source: str, owner: str) -> None:
        """Give the probe up, if `owner` has it, with nothing learnt."""

    async def start(self) -> None:
        """Find out whether it can be had. Never raises."""

    async def aclose(self) -> None: ...


class SharedObserver(Protocol):
    """Hears of the shared state; see `app.providers.observer`."""

    def on_shared_state(self, up: bool) -> None:
        """It can be had, or no longer."""

    def on_shared_error(self, reason: str) -> None:
        """An operation failed; `reason` is one of `timeout`, `connection`, `answer`; `still_down`: a look found it
        down again."""


class Shared:
    """The shared state of one deployment: gateways with the same first cursor secret.

    `accounts`: by source, whatever its settings are, keys and all. Two gateways on one store share nothing of sources
    that have the same name and are not set alike."""

    def __init__(self, state: SharedState, secret: str, accounts: Mapping[str, Any] | None = None) -> None:
        # Only here: most gateways share nothing, and would start later for it.
        from app.providers.shared.value_cipher import ValueCipher

        self.state = state
        self._sealing = ValueCipher(secret)
        self._deployment = self._sealing.digest("deployment")
        self._accounts = {
            name: self._sealing.digest("account", json.dumps(account, sort_keys=True, default=str))
            for name, account in (accounts or {}).items()
        }

    def key(self, kind: str, source: str, *parts: bytes | str) -> str:
        """The name of something of a source. `kind` is a fixed word; the rest cannot be told from it."""
        digest = self._sealing.digest(kind, source, self._accounts.get(source, ""), *parts)
        return f"{PREFIX}:{self._deployment}:{kind}:{digest}"

    def caller(self, name: str) -> str:
        """What a caller is counted under."""
        return f"{self._deployment}:caller:{self._sealing.digest('caller', name)}"

    async def get(self, key: str) -> CachedValue | None:
        """The value that `put` kept, unless somebody else wrote it. Raises SharedStateDown."""
        held = await self.state.get(key)
        if held is None:
            return None
        value = self._sealing.open(key, held.value)
        return None if value is None else CachedValue(value, held.left)

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value, sealed. Raises SharedStateDown."""
        await self.state.put(key, self._sealing.seal(key, value), seconds)
