"""Times of the events of an emulated account: an endless, deterministic stream of steps.

An account's history consists of *workflows*: an envelope from creation to completion, or a single team event. Each
follows a *plan*: the milliseconds from its start to each of its steps. Workflows start in the weekly rhythm of an
office. Before the creation time, the stream has exactly `events` steps over `days`; it continues at the same density.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from sandbox.identifiers import mix, mix_text

HOUR = 3_600_000
DAY = 24 * HOUR
KEY_BITS = 40
MAX_STEPS = 32
_CODE_MASK = (1 << KEY_BITS) - 1
_MORNING = (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.8, 2.5, 4.0, 4.5, 4.0)
_AFTERNOON = (2.5, 3.5, 4.5, 4.0, 3.0, 1.5, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2)
_OFFICE_DAY = _MORNING + _AFTERNOON
_DAY_WEIGHTS = (1.0, 1.15, 1.1, 1.05, 0.85, 0.12, 0.08)  # Monday to Sunday
_BULK_HOUR = 10  # bursts start at 10:00 UTC


def thread_of(code: int) -> int:
    """Return the number of a code's workflow."""
    return code >> 6


def step_of(code: int) -> int:
    """Return the index of a code's step in its workflow's plan."""
    return (code >> 1) & (MAX_STEPS - 1)


def is_twin(code: int) -> bool:
    """Whether a code repeats the previous one, from which it differs only in this bit."""
    return bool(code & 1)


class Schedule:
    """Steps in order of time. One step is `(milliseconds since 1970, code)`.

    `plans`: offsets in milliseconds, ascending, first 0, at most 32 per plan; a workflow's hash selects one,
    stretched by a factor from 0.5 to 1.5 (equal offsets stay equal: ties). `twins`: share of steps that occur twice.
    `burst`: number of additional workflows that start in one millisecond, every day at 10:00 UTC.
    """

    def __init__(
        self,
        *,
        seed: int,
        now: int,
        days: float,
        events: int,
        plans: Sequence[Sequence[int]],
        twins: float = 0.0,
        burst: int = 0,
    ) -> None:
        if any(len(plan) > MAX_STEPS or plan[0] != 0 for plan in plans):
            raise ValueError(f"a plan has 1 to {MAX_STEPS} steps and starts at 0")
        self._salt = mix_text(seed, "schedule")
        self._plans = [tuple(plan) for plan in plans]
        self._twins = int(twins * 65536)
        self._burst = burst
        self._first_hour = (now - int(days * DAY)) // HOUR
        self._start(rate=0.0)
        if events:
            self._fill(events, now)

    def plan_of(self, thread: int) -> int:
        """Return the index in `plans` of a workflow's plan."""
        return self._plan_numbers[thread]

    def due(self, now: int) -> list[tuple[int, int]]:
        """Return the steps due by `now` that were not returned before, in order."""
        self._generate_through(now)
        limit = (now + 1) << KEY_BITS
        if not self._pending or self._pending[0] >= limit:
            return []
        cut = bisect_right(self._pending, limit)
        taken = self._pending[:cut]
        del self._pending[:cut]
        return [(key >> KEY_BITS, key & _CODE_MASK) for key in taken]

    # -- generation --------------------------------------------------------------------------------------

    def _start(self, rate: float) -> None:
        """Restart with `rate` workflows in an hour of weight 1."""
        self._rate = rate
        self._carry = 0.0
        self._next_hour = self._first_hour
        self._plan_numbers = array("H")
        self._pending: list[int] = []

    def _fill(self, events: int, now: int) -> None:
        """Find the density that gives `events` steps by `now`, then drop surplus oldest workflows."""
        mean_length = sum(map(len, self._plans)) / len(self._plans)
        in_bursts = self._burst * mean_length * (now // HOUR - self._first_hour) / 24
        rate = max(1.0, events - in_bursts) / self._steps_expected(now) * 1.005
        while True:
            self._start(rate)
            self._generate_through(now)
            excess = bisect_right(self._pending, (now + 1) << KEY_BITS) - events
            if excess >= 0:
                break
            # Sparse histories deviate from the expectation: a dozen workflows cannot be spread evenly.
            rate = rate * 1.05 + 0.2 / max(1, self._next_hour - self._first_hour)
        self._drop_oldest(excess, now)

    def _steps_expected(self, now: int) -> float:
        """Return the number of steps before `now` at a rate of one workflow in an hour of weight 1."""
        expected = 0.0
        offsets = sorted(offset for plan in self._plans for offset in plan)
        for hour in range(self._first_hour, now // HOUR + 1):
            steps = bisect_right(offsets, now - hour * HOUR) / len(self._plans)
            expected += _weight(hour) * steps
        return expected

    def _drop_oldest(self, excess: int, now: int) -> None:
        """Remove exactly `excess` steps: the oldest whole workflows, and the last steps of one more."""
        visible = bisect_right(self._pending, (now + 1) << KEY_BITS)
        steps_of = Counter((key & _CODE_MASK) >> 6 for key in islice(self._pending, visible))
        keep_from, keep_steps = 0, 0
        while excess > 0:
            steps = steps_of[keep_from]
            keep_steps = max(0, steps - excess)
            excess -= steps
            keep_from += 1
        kept: list[int] = []
        for key in self._pending:
            thread = (key & _CODE_MASK) >> 6
            if thread == keep_from - 1 and keep_steps > 0:
                keep_steps -= 1
            elif thread < keep_from:
                continue
            kept.append(key)
        self._pending = kept

    def _generate_through(self, now: int) -> None:
        """Generate whole hours until no more steps before `now` can follow."""
        if self._next_hour * HOUR > now:
            return
        fresh: list[int] = []
        while self._next_hour * HOUR <= now:
            self._generate_hour(self._next_hour, fresh)
            self._next_hour += 1
        self._pending.extend(fresh)
        self._pending.sort()

    def _generate_hour(self, hour: int, into: list[int]) -> None:
        if self._rate == 0:
            return
        self._carry += self._rate * _weight(hour)
        workflows = int(self._carry)
        self._carry -= workflows
        for _ in range(workflows):
            self._generate_workflow(hour, None, into)
        if self._burst and hour % 24 == _BULK_HOUR:
            for _ in range(self._burst):
                self._generate_workflow(hour, hour * HOUR, into)

    def _generate_workflow(self, hour: int, start: int | None, into: list[int]) -> None:
        thread = len(self._plan_numbers)
        drawn = mix(self._salt ^ thread)
        if start is None:
            start = hour * HOUR + drawn % HOUR
        stretch = 512 + ((drawn >> 24) & 1023)
        number = (drawn >> 40) % len(self._plans)
        self._plan_numbers.append(number)
        code = thread << 6
        for offset in self._plans[number]:
            key = ((start + (offset * stretch >> 10)) << KEY_BITS) | code
            into.append(key)
            if self._twins and mix(key) & 0xFFFF < self._twins:
                into.append(key | 1)
            code += 2


def _weight(hour: int) -> float:
    """Return the relative activity of an hour (counted from 1970, UTC)."""
    weekday = (hour // 24 + 3) % 7  # 1970-01-01 was a Thursday
    return _OFFICE_DAY[hour % 24] * _DAY_WEIGHTS[weekday]
