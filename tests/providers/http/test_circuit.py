"""The circuit and the retry budget: pure machines, driven through thousands of histories."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.providers.http.limits import RetryBudget
from app.providers.http.source_state import CallPermit, Circuit


def fail(circuit: Circuit, now: float, times: int = 1) -> None:
    for _ in range(times):
        permit = circuit.enter(now)
        assert permit is not None
        circuit.settle(permit, now, False)


def test_each_failed_trial_doubles_the_time_up_to_five_minutes() -> None:
    circuit, now, waits = Circuit(), 0.0, []
    fail(circuit, now, 5)
    for _ in range(6):
        waits.append(circuit.wait(now))
        now += waits[-1]
        fail(circuit, now)
    assert waits == [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]


def test_a_success_between_them_starts_the_count_anew() -> None:
    circuit = Circuit()
    fail(circuit, 0.0, 4)
    permit = circuit.enter(1.0)
    assert permit is not None
    circuit.settle(permit, 1.0, True)
    fail(circuit, 2.0, 4)
    assert circuit.state == "closed"


def test_a_trial_that_succeeds_closes_it_and_the_next_opening_is_short_again() -> None:
    circuit = Circuit()
    fail(circuit, 0.0, 5)
    fail(circuit, 30.0)
    assert circuit.wait(30.0) == 60.0
    permit = circuit.enter(90.0)
    assert permit is not None
    circuit.settle(permit, 90.0, True)
    assert (circuit.state, circuit.failures) == ("closed", 0)
    fail(circuit, 100.0, 5)
    assert circuit.wait(100.0) == 30.0


def test_a_trial_whose_caller_went_away_leaves_room_for_the_next() -> None:
    circuit = Circuit()
    fail(circuit, 0.0, 5)
    permit = circuit.enter(30.0)
    assert permit is not None
    circuit.settle(permit, 31.0, None)
    assert circuit.state == "half_open"
    following = circuit.enter(31.0)
    assert following.trial


def test_late_answers_to_calls_made_before_it_opened_change_nothing() -> None:
    circuit = Circuit()
    early = [permit for _ in range(8) if (permit := circuit.enter(0.0))]
    fail(circuit, 1.0, 5)
    for ok in (True, False, None):
        circuit.settle(early.pop(), 2.0, ok)
    assert (circuit.state, circuit.wait(1.0)) == ("open", 30.0)
    trial = circuit.enter(31.0)
    assert trial is not None
    circuit.settle(trial, 31.0, True)
    for permit in early:
        circuit.settle(permit, 32.0, False)
    assert (circuit.state, circuit.failures) == ("closed", 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enter", "settle", "wait"]),
        st.integers(0, 10**6),
        st.sampled_from([False, False, False, True, None]),
    ),
    max_size=120,
)


@settings(max_examples=500, deadline=None)
@given(STEPS)
def test_whatever_happens_it_keeps_its_promises(steps: list[tuple[str, int, bool | None]]) -> None:
    """It opens after five failures in a row, for 30 s, and longer after each failed trial call. Results that are
    unknown count as nothing, and so do those of calls that began in another state."""
    circuit, now, under_way = Circuit(), 0.0, list[CallPermit]()
    failures, duration, until = 0, 30.0, 0.0
    for kind, number, ok in steps:
        before = circuit.state
        if kind == "wait":
            now += number % 400
        elif kind == "enter":
            is_trying = any(one.trial and one.era == circuit._era for one in under_way)
            permit = circuit.enter(now)
            # Never a call while it is open, and never two trials at a time.
            assert (permit is not None) == (before == "closed" or (now >= until and not is_trying))
            if permit is not None:
                under_way.append(permit)
                assert permit.trial == (before != "closed")
        elif under_way:
            permit = under_way.pop(number % len(under_way))
            current = permit.era == circuit._era
            circuit.settle(permit, now, ok)
            if not current:
                assert circuit.state == before
            elif permit.trial:
                assert circuit.state == {True: "closed", False: "open", None: "half_open"}[ok]
                duration = {True: 30.0, False: min(300.0, 2 * duration), None: duration}[ok]
            else:
                failures = 0 if ok else failures + (ok is False)
                assert circuit.state == ("open" if failures >= 5 else "closed")
        if circuit.state == "open" and before != "open":
            assert circuit.wait(now) == duration
            until, failures = now + duration, 0
        if circuit.state == "closed" and before != "closed":
            failures = 0
    # It is never stuck: when all calls are settled and the time is up, somebody is let through.
    for permit in under_way:
        circuit.settle(permit, now, None)
    assert circuit.enter(now + 301.0) is not None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=300))
def test_retries_stay_within_the_budget_in_every_window(steps: list[tuple[bool, float]]) -> None:
    budget, now = RetryBudget(ratio=0.2, reserve=3, window=10.0), 0.0
    calls, retries = list[float](), list[float]()
    for is_call, pause in steps:
        now += pause
        if is_call:
            budget.note_call(now)
            calls.append(now)
        elif budget.take(now):
            retries.append(now)
            lately = [time for time in retries if time > now - 10.0]
            assert len(lately) <= 3 + 0.2 * sum(time > now - 10.0 for time in calls)


def test_the_budget_grows_back() -> None:
    budget = RetryBudget(reserve=2, window=10.0)
    assert [budget.take(0.0) for _ in range(3)] == [True, True, False]
    for _ in range(5):
        budget.note_call(1.0)
    assert [budget.take(1.0) for _ in range(2)] == [True, False]
    assert budget.take(10.5)
