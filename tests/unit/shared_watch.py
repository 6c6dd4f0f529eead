"""Hears what is said of the shared state."""

from __future__ import annotations


class SharedWatch:
    def __init__(self) -> None:
        self.states: list[bool] = []
        self.errors: list[str] = []

    def on_shared_state(self, up: bool) -> None:
        self.states.append(up)

    def on_shared_error(self, reason: str) -> None:
        self.errors.append(reason)
