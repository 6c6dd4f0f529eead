"""What watches the calls to the providers: metrics and logs.

Pass a subclass of `Observer` down in `CommonSettings`. Its methods run in the event loop, in the middle of a call: they
must be quick, and must not raise.
"""

from __future__ import annotations

from typing import Literal

#: `closed`: calls go through. `open`: none does. `half_open`: one trial call is under way or may be made.
CircuitState = Literal["closed", "open", "half_open"]

#: How one attempt ended: an HTTP status as text (`200`, `429`), or in place of one `timeout`, `connection` (refused,
#: reset, broken off), `unusable` (too large, or in an encoding not asked for), `canceled` (the caller hung up or the
#: deadline passed).
Outcome = str

#: Why a call was not sent.
Refusal = Literal["circuit_open", "pause", "deadline"]


class Observer:
    """Ignores all of it. `source` is the configured name throughout: a small, fixed set."""

    def on_call(self, source: str, outcome: Outcome, seconds: float) -> None:
        """One attempt ended, `seconds` after it was sent (time in the queue not counted)."""

    def on_retry(self, source: str, reason: Outcome) -> None:
        """An attempt that ended with `reason` is about to be repeated."""

    def on_refused(self, source: str, reason: Refusal) -> None:
        """A call was answered without calling the provider."""

    def on_circuit(self, source: str, state: CircuitState) -> None:
        """The source's circuit changed its state. Also called once with `closed` when the source is made."""

    def on_bad_records(self, source: str, count: int) -> None:
        """A page met `count` (at least 1) records that could not be read."""

    def on_shared_state(self, up: bool) -> None:
        """The state that replicas share can be reached, or no longer."""

    def on_shared_error(self, reason: str) -> None:
        """An operation on the shared state failed; `reason` is one of `timeout`, `connection`, `answer`; `still_down`:
        it cannot be reached again yet."""
