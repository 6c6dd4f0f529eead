"""How one source stands with the other replicas. Where they cannot be heard, this process goes on alone."""

from __future__ import annotations

from app.providers.base import CommonSettings
from app.providers.http.circuit_breaker import Bulletin
from app.providers.shared.interface import SharedSourceState, SharedStateDown


class Replicas:
    """Of the source `name`. Never raises SharedStateDown; with nothing shared, it does nothing at all."""

    def __init__(self, name: str, common: CommonSettings) -> None:
        self.alone = common.shared is None
        if common.shared is not None:
            self._state = common.shared.state
            self._key = common.shared.key("source", name)
            self._rate_key = common.shared.key("rate", name)
        self._rate = common.max_rate

    async def take(self) -> float:
        """0 where a call fits into the rate that all keep together, or the seconds after which to ask again."""
        if self.alone or self._rate is None:
            return 0.0
        try:
            return await self._state.take(self._rate_key, self._rate)
        except SharedStateDown:
            return 0.0

    async def standing(self) -> SharedSourceState | None:
        """How the source stands; None where nobody can be asked."""
        if self.alone:
            return None
        try:
            return await self._state.standing(self._key)
        except SharedStateDown:
            return None

    async def pause(self, seconds: float) -> None:
        """Tell the others that the provider asked for it."""
        if not self.alone:
            try:
                await self._state.pause(self._key, seconds)
            except SharedStateDown:
                return

    async def publish(self, bulletin: Bulletin, owner: str = "") -> Bulletin | None:
        """Tell the others what the circuit is, giving up the probe that `owner` has; what holds for all."""
        if self.alone:
            return None
        try:
            return await self._state.publish(self._key, bulletin, owner)
        except SharedStateDown:
            return None

    async def claim_probe(self, version: int, owner: str, seconds: float) -> bool:
        """Whether this process may make the one call that finds out whether the provider is back."""
        if self.alone:
            return True
        try:
            return await self._state.claim_probe(self._key, version, owner, seconds)
        except SharedStateDown:
            return True

    async def release_probe(self, owner: str) -> None:
        """Give the probe up: nothing was found out."""
        if not self.alone:
            try:
                await self._state.release_probe(self._key, owner)
            except SharedStateDown:
                return
