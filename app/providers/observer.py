"""Observer of the calls to the providers."""

from __future__ import annotations

from typing import Literal

#: `closed`: calls pass. `open`: no calls. `half_open`: one trial call is running or allowed.
CircuitState = Literal["closed", "open", "half_open"]

#: Result of one attempt: an HTTP status as text (`200`, `429`), or `timeout`, `connection` (refused, reset, truncated),
#: `unusable` (too large, or in an unsupported encoding), `canceled` (the caller disconnected or the deadline passed).
Outcome = str

#: Why a call was not sent.
Refusal = Literal["circuit_open", "pause", "deadline"]


class Observer:
    """Observer of the calls to the providers, for metrics and logs; this one has no effect. `source` is the configured
    name, of a small, fixed set. The methods run in the event loop during a call: they must be quick, and not raise."""

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        """One attempt ended after `seconds`, without the time in the queue."""

    def on_retry(self, source: str, reason: Outcome) -> None:
        """An attempt that ended with `reason` will be retried."""

    def on_refused(self, source: str, reason: Refusal) -> None:
        """A call was refused without calling the provider."""

    def on_circuit(self, source: str, state: CircuitState) -> None:
        """The source's circuit changed its state. Also called with `closed` when the source is created."""

    def on_bad_records(self, source: str, count: int) -> None:
        """A page had `count` (at least 1) unreadable records."""

    def on_shared_state(self, up: bool) -> None:
        """The replicas' shared state became reachable or unreachable."""
