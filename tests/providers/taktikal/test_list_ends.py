"""Servers that answer with an error after the last process of a list, or for a large `Take`."""

from typing import Any

import pytest

from app.domain.errors import SourceFailed, TemporaryFailure
from app.domain.times import DAY
from app.providers.base import CallBudget
from app.providers.taktikal.client import MAX_TAKE, WHOLE, DateRange, Filters
from app.providers.taktikal.list_reader import UNCOUNTED, UNPROVEN
from sandbox.taktikal.query import Query, VendorError
from tests.providers.taktikal.test_loading import BASE, company, keys, loader


@pytest.mark.parametrize("beyond", ["refused", "fails"])
@pytest.mark.parametrize("cap", [None, 4])
@pytest.mark.parametrize("totals", ["sent", "absent"])
async def test_an_error_after_the_last_process_ends_a_list(beyond: Any, cap: Any, totals: Any) -> None:
    """Regression: without totals each request failed, and with them each had a reason."""
    emulator = company(20, apart=DAY, beyond_the_end=beyond, max_take=cap, totals=totals, range_selects="creation")
    found = loader(emulator, "creation", False)
    for _ in range(2):  # cold and warm
        assert keys(await found.everything(WHOLE)) == [f"sp{number:03d}" for number in range(20)]
        assert keys(await found.everything(DateRange.around(BASE - 3 * DAY, BASE - 2 * DAY))) == ["sp003"]
    assert found.doubts <= ({UNCOUNTED} if totals == "absent" else set())


@pytest.mark.parametrize("totals", ["sent", "absent"])
async def test_a_page_that_always_fails_ends_no_list(totals: Any) -> None:
    """The processes after the third are not in any response."""
    emulator = company(10, max_take=3, totals=totals)
    items = emulator.items

    def broken(query: Query) -> list[dict[str, Any]]:
        if query.skip < 4 <= query.skip + min(query.take, 3):
            raise VendorError(500, "Exception", "An entry cannot be read")
        return items(query)

    emulator.items = broken  # type: ignore[method-assign]
    with pytest.raises(SourceFailed):
        await loader(emulator, "creation", False).everything(WHOLE)


@pytest.mark.parametrize("selects", ["activity", "creation"])
async def test_a_take_that_the_server_fails_for_is_halved_and_tried_again_after_an_hour(selects: Any) -> None:
    """Regression: an account that its server can only return in parts was a failure for each request."""
    emulator = company(300, max_take=120, take_beyond="fails", range_selects=selects)
    found = loader(emulator, selects, False)
    assert len(await found.everything(WHOLE)) == 300
    assert 60 <= found.most <= 120
    emulator.calls.reset()
    assert len(await found.everything(WHOLE)) == 300
    assert {call.status for call in emulator.calls.calls} == {200}
    now = found.facts._clock()
    found.facts._clock = lambda: now + DAY // 12
    assert found.most == MAX_TAKE


async def test_a_server_that_fails_for_any_take_has_no_limit() -> None:
    emulator = company(300)
    emulator.faults.answer(500, times=50)
    found = loader(emulator)
    with pytest.raises(TemporaryFailure):
        await found.take(WHOLE, MAX_TAKE)
    assert found.facts.cap is None


async def test_a_total_that_cannot_be_corrected_fails_no_list_of_one_process() -> None:
    """Regression: after a refused total of one process, which shows how many are counted too many, such a list was a
    failure for ten minutes. No other time has a process, so that only a reason remains."""
    found = loader(company(1))

    async def total(_: DateRange, filters: Filters, __: CallBudget) -> int:
        if "ProcessKey" in filters:
            raise SourceFailed("refused")
        return 8

    found.client.total = total  # type: ignore[method-assign]
    assert keys(await found.everything(DateRange.around(BASE - DAY, BASE + DAY))) == ["sp000"]
    assert UNPROVEN in found.doubts


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("warm", [False, True])
async def test_an_account_that_answers_nothing_to_all_calls_has_a_reason(status: int, warm: bool) -> None:
    emulator = company(10)
    found = loader(emulator)
    if warm:
        await found.everything(WHOLE)
    emulator.faults.answer(status, times=1000, body=b"")
    assert await found.everything(WHOLE) == []
    assert found.doubts == {UNCOUNTED}
