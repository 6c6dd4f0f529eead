"""Retries with growing pauses, of calls to a gateway and to a receiver."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import sleep
from typing import TypeVar

from app.forward.target import CallFailed

_LONGEST = 60.0  #: seconds to wait between two attempts, if the other side names none

T = TypeVar("T")
Failure = TypeVar("Failure", bound=CallFailed)


def retried(
    call: Callable[[], T],
    kind: type[Failure],
    may_retry: Callable[[Failure], bool],
    *,
    attempts: float = math.inf,
    first_pause: float = 1.0,
) -> T:
    """Return the result of `call`, which is made up to `attempts` times: again after an exception of `kind` for which
    `may_retry` returns True. Pauses double from `first_pause` (seconds); `retry_after` lengthens them."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return call()
        except kind as failure:
            if attempt >= attempts or not may_retry(failure):
                raise
            pause = min(_LONGEST, first_pause * 2.0 ** min(attempt - 1, 8))
            pause = max(pause, failure.retry_after or 0.0)
        sleep(pause)
