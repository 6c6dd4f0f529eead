"""The circuit breaker and the retry budget, in thousands of random histories."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.providers.base import CommonSettings
from app.providers.http.concurrency import RetryBudget
from app.providers.http.source_state import SourceState

FAIL, SUCCEED, CANCEL = (("enter", 0, None), ("settle", -1, False)), (("settle", 0, True),), (("settle", 0, None),)
ENTER, OPEN = ("enter", 0, None), FAIL * 5


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "settle", "wait"]),
        st.integers(0, 10**6),
        st.sampled_from([False, False, False, True, None]),
    ),
    max_size=120,
)


@settings(max_examples=250, deadline=None)
@given(STEPS)
# Each failed trial call doubles the time open, up to five minutes; a successful one resets it.
@example([*OPEN, *(step for wait in (30, 60, 120, 240, 300, 300) for step in (("wait", wait, None), *FAIL)),
          ("wait", 300, None), ENTER, *SUCCEED, *OPEN, ("wait", 30, None), ENTER])  # fmt: skip
# A success resets the number of failures.
@example([*FAIL * 4, ENTER, *SUCCEED, *FAIL * 4])
# A cancelled trial call allows the next.
@example([*OPEN, ("wait", 30, None), ENTER, *CANCEL, ENTER, *FAIL])
# Results of calls that began before it opened change nothing, neither while it is open nor after it closed.
@example([*[ENTER] * 8, *OPEN, *SUCCEED, ("settle", 0, False), *CANCEL, ("wait", 31, None), ENTER, ("settle", -1, True),
          *[("settle", 0, False)] * 5, *FAIL * 4])  # fmt: skip
def test_the_circuit_follows_its_specification(steps: list[tuple[str, int, bool | None]]) -> None:
    """It opens after five consecutive failures, for 30 s, and longer after each failed trial call. Unknown results, and
    those of calls that began in another state, are ignored."""
    now, under_way = 0.0, list[tuple[int, bool]]()
    circuit = SourceState("a", "a.example", CommonSettings(timer=lambda: now))
    failures, duration, until = 0, 30.0, 0.0
    for kind, number, ok in steps:
        before = circuit.circuit
        if kind == "wait":
            now += number % 400
        elif kind == "enter":
            is_trying = any(is_trial and era == circuit._era for era, is_trial in under_way)
            permit = circuit.enter(1)
            # No call while it is open, and no two concurrent trial calls.
            assert (permit is not None) == (before == "closed" or (now >= until and not is_trying))
            if permit is not None:
                under_way.append((permit, before != "closed"))
        elif under_way:
            era, is_trial = under_way.pop(number % len(under_way))
            current = era == circuit._era
            circuit.settle(era, ok, "")
            if not current:
                assert circuit.circuit == before
            elif is_trial:
                assert circuit.circuit == {True: "closed", False: "open", None: "half_open"}[ok]
                duration = {True: 30.0, False: min(300.0, 2 * duration), None: duration}[ok]
            else:
                failures = 0 if ok else failures + (ok is False)
                assert circuit.circuit == ("open" if failures >= 5 else "closed")
        if circuit.circuit == "open" and before != "open":
            assert circuit._open_until == now + duration
            until, failures = now + duration, 0
        if circuit.circuit == "closed":
            failures = failures if before == "closed" else 0
            assert circuit.failures == failures
    # After all calls have ended and the time open has passed, a call is allowed.
    for era, _ in under_way:
        circuit.settle(era, None, "")
    now += 301
    assert circuit.enter(1) is not None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=300))
def test_retries_stay_within_the_budget(steps: list[tuple[bool, float]]) -> None:
    now, calls, retries = 0.0, 0, 0
    budget = RetryBudget(lambda: now)
    for is_call, pause in steps:
        now += pause
        if is_call:
            budget.calls += 1
            calls += 1
        elif budget.take():
            retries += 1
            assert retries <= 20 + 0.2 * calls + 2 * now + 1e-6


def test_the_retry_budget_is_replenished() -> None:
    now = 0.0
    budget = RetryBudget(lambda: now)
    assert [budget.take() for _ in range(21)] == [True] * 20 + [False]
    now = 1.0
    assert [budget.take() for _ in range(3)] == [True, True, False]
