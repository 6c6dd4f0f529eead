"""When a call is made again: stamina's rules. A module by itself, for it takes a while to load and is not needed before
the first call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import stamina
import stamina.instrumentation

from app.providers.http.resilience import ATTEMPTS

# stamina logs every retry with repr(exception) by default; what a provider does to us is logged once, by the feed.
stamina.instrumentation.set_on_retry_hooks([])


def attempts(worth_repeating: Callable[[Exception], bool | float]) -> AsyncIterator[stamina.Attempt]:
    """As many as a call may take, with growing waits between them; `worth_repeating` may say how long the next is to
    be, in seconds."""
    return stamina.retry_context(
        worth_repeating, attempts=ATTEMPTS, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
    )
