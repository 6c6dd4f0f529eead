"""Reading the log by positions, with unusual servers and logs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

from app.domain.errors import SourceFailed
from app.domain.query import Query
from app.domain.times import DAY, SECOND
from app.paging.steadiness import digest_of
from app.providers.base import CallBudget, ReadRequest
from app.providers.subnoto.client import LogQuery, SubnotoClient
from app.providers.subnoto.log_calls import LogRequest
from app.providers.subnoto.observations import AccountObservations
from app.providers.subnoto.reader import SubnotoReader
from app.providers.subnoto.time_index import TimeIndex
from app.providers.subnoto.wire import LogPage, LogRow, decode_page
from sandbox.subnoto import Emulator, EmulatorOptions, Record
from tests.providers import inside
from tests.providers.rows import row_of

BASE = inside.NOW_MICROS - 20 * DAY
SKEW = 120 * SECOND
ENVELOPE = "8f2f1d5e-3b0e-4a2c-9b3e-0f6d1c2b3a40"


def emulator_of(count: int, step: int = 1000, **options: Any) -> Emulator:
    rows = [
        Record(
            "envelope", "ENVELOPE_OPENED", BASE // 1000 + n * step, {"n": n}, envelope_uuid=ENVELOPE, workspace_uuid="w"
        )
        for n in range(count)
    ]
    return Emulator(EmulatorOptions(**options), clock=lambda: inside.NOW, records=rows)


def reader(emulator: Emulator, order: Any = "asc", hint: Any = None, **options: Any) -> SubnotoReader:
    since, until = options.get("since", 0), options.get("until", inside.NOW_MICROS)
    position = options.get("position", (since,) if order == "asc" else (until,))
    return SubnotoReader(
        LogRequest(
            SubnotoClient(inside.subnoto(emulator)),
            options.get("log", LogQuery("envelope")),
            ReadRequest(options.get("query", Query(order=order)), since, until, position, hint),
            CallBudget(),
            source="s",
            skew=SKEW,
            now=inside.NOW_MICROS,
            observations=options.get("observations", AccountObservations(lambda: 0)),
            index=options.get("index", TimeIndex()),
        )
    )


async def numbers(found: SubnotoReader, want: int = 100) -> list[int]:
    got: list[int] = []
    for _ in range(100):
        batch = await found.read(want, 64)
        got += [record.event().data["n"] for record in batch.records]  # type: ignore[attr-defined]
        if batch.ended:
            return got
    raise AssertionError("no end")


@pytest.mark.parametrize(
    ("count", "size", "observed"),
    [
        (130, 20, 20), (40, 7, 7), (29, 20, 20), (27, 1, 1), (20, 20, None), (49, 49, None),
        *((count, 50, None) for count in (0, 1, 49, 50, 51, 100, 101, 333)),
    ],
)  # fmt: skip
async def test_smaller_pages_than_requested_are_detected_and_used(
    count: int, size: int, observed: int | None, order: str
) -> None:
    """The vendor documents none. Also in a log that is shorter than a page should be."""
    emulator, observations = emulator_of(count, max_limit=size), AccountObservations(lambda: 0)
    wanted = list(range(count)) if order == "asc" else list(range(count))[::-1]
    assert await numbers(reader(emulator, order, observations=observations)) == wanted
    assert observations.page_size == observed
    assert emulator.calls.refused == []


@pytest.mark.parametrize(("count", "size"), [(62, 33), (83, 33), (89, 45), (150, 45)])
async def test_smaller_pages_are_detected_by_a_cold_replica(count: int, size: int, order: str) -> None:
    """It has only the cursor's hint, which may point to the last page."""
    emulator, got = emulator_of(count, max_limit=size), []
    position: Any = (BASE,) if order == "asc" else (inside.NOW_MICROS,)
    hint: Any = None
    while True:
        found = reader(emulator, order, hint, position=position)
        batch = await found.read(7, 64)
        for record in batch.records[:7]:
            got.append(record.event().data["n"])  # type: ignore[attr-defined]
            position = record.key
        if batch.ended and len(batch.records) <= 7:
            break
        hint = found.hint(position)
    assert got == (list(range(count)) if order == "asc" else list(range(count))[::-1])


@pytest.mark.parametrize("want", [7, 100])
@pytest.mark.parametrize(("begin", "end"), [(400, 401), (350, 401), (0, 50), (100, 200), (0, 401)])
async def test_a_page_without_a_readable_time_hides_no_other_record(
    begin: int, end: int, want: int, order: str
) -> None:
    rows = [Record("envelope", "ENVELOPE_OPENED", BASE // 1000 + n * 60_000, {"n": n}) for n in range(401)]
    for n in range(begin, end):
        rows[n] = replace(rows[n], timestamp=-1)
    emulator = Emulator(EmulatorOptions(), clock=lambda: inside.NOW, records=rows)
    good = [n for n in range(401) if not begin <= n < end]
    for since in (0, BASE + 200 * 60 * SECOND, BASE + 399 * 60 * SECOND):
        found, got, bad = reader(emulator, order, since=since), [], 0
        while True:
            batch = await found.read(want, 64)
            got += [record.event().data["n"] for record in batch.records]  # type: ignore[attr-defined]
            bad += batch.bad_records.total()
            if batch.ended:
                break
        wanted = [n for n in good if BASE + n * 60 * SECOND >= since]
        assert got == (wanted if order == "asc" else wanted[::-1])
        assert bad or since


@pytest.mark.parametrize("beyond", ["empty", "last", "refused"])
@pytest.mark.parametrize(("count", "rows"), [(10, 5), (49, 20), (69, 20), (49, 48)])
async def test_a_last_page_that_is_truncated_hides_no_record(
    count: int, rows: int, beyond: Any, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page after it is empty, and only the total shows the missing records. The page is always truncated."""
    emulator, send = emulator_of(count, beyond_the_end=beyond), SubnotoClient.list_logs

    async def list_logs(*given: Any) -> list[tuple[int, LogPage]]:
        return [(page, replace_struct(sent, rows=sent.rows[:rows])) for page, sent in await send(*given)]

    monkeypatch.setattr(SubnotoClient, "list_logs", list_logs)
    assert sorted(await numbers(reader(emulator, order))) == list(range(count))
    assert await reader(emulator, since=inside.NOW_MICROS).rank() == count


@pytest.mark.parametrize("is_lasting", [False, True])
async def test_a_truncated_last_page_whose_next_row_is_refused_is_completed_or_reported(
    is_lasting: bool, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server truncates its first response, or all. It refuses pages for their numbers, also those with rows."""
    emulator, send, truncated = emulator_of(5), SubnotoClient.list_logs, [3] * (99 if is_lasting else 1)

    async def list_logs(*given: Any) -> list[tuple[int, LogPage]]:
        found = [(page, sent) for page, sent in await send(*given)]
        if given[3] == 1:
            return [(page, LogPage([], 0, "", refusal=SourceFailed("refused"))) for page, _ in found]
        return [
            (page, replace_struct(sent, rows=sent.rows[: truncated.pop() if truncated else 50])) for page, sent in found
        ]

    monkeypatch.setattr(SubnotoClient, "list_logs", list_logs)
    batch = await reader(emulator, order).read(100, 64)
    assert sorted(record.event().data["n"] for record in batch.records) == list(range(3 if is_lasting else 5))
    reason = "the provider does not show whether its log ends where it claims: newer records may be missing"
    # It was refused to both readers, of which the second one begins after the log seemed to have moved.
    assert (batch.unproven, batch.reason) == (True, reason)


@pytest.mark.parametrize("step", [1000, 86_400_000 // 4])
async def test_a_server_that_ignores_the_order_is_reported(
    step: int, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows in descending order, within the skew or over days."""
    emulator, send = emulator_of(40, step=step), SubnotoClient.list_logs

    async def list_logs(*given: Any) -> list[tuple[int, LogPage]]:
        return [(page, replace_struct(sent, rows=sent.rows[::-1])) for page, sent in await send(*given)]

    monkeypatch.setattr(SubnotoClient, "list_logs", list_logs)
    found = reader(emulator, order, since=BASE + 30_500 * step)
    batch = await found.read(100, 10)
    assert batch.reason == "the provider's log is not in order of time: records may be missing"
    assert batch.unproven
    count = reader(emulator, since=BASE + 30_500 * step)
    assert count.lacks_rows(await count.rank())


def test_a_small_page_size_is_used_for_ten_minutes_after_two_observations() -> None:
    now = 0
    observations = AccountObservations(lambda: now)
    assert observations.shrink_pages(20) is None
    assert observations.shrink_pages(7) is None
    assert observations.shrink_pages(7) == observations.page_size == 7
    now = 601 * SECOND
    assert observations.page_size is None
    assert observations.shrink_pages(7) is None


async def test_refused_event_types_are_filtered_by_the_gateway() -> None:
    emulator = emulator_of(60, newer_types=False)
    emulator.history.append("ENVELOPE_SENT", timestamp=inside.NOW - timedelta(days=1), event_data={"n": 999})
    observations = AccountObservations(lambda: 0)
    query = Query(order="asc", provider_type=("ENVELOPE_APPROVED", "ENVELOPE_SENT"))
    log = LogQuery("envelope", event_types=("ENVELOPE_APPROVED", "ENVELOPE_SENT"))
    assert await numbers(reader(emulator, log=log, query=query, observations=observations)) == [999]
    assert not observations.takes("envelope", "ENVELOPE_SENT")
    assert observations.takes("envelope", "DOCUMENT_SIGNED")


async def test_event_types_that_the_server_ignores_are_filtered_by_the_gateway(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator, body = emulator_of(130), LogQuery.body
    emulator.history.append("ENVELOPE_SENT", timestamp=inside.NOW - timedelta(days=1), event_data={"n": 999})

    def without_types(query: LogQuery, page: int, limit: int) -> dict[str, Any]:
        return {name: value for name, value in body(query, page, limit).items() if name != "eventTypes"}

    monkeypatch.setattr(LogQuery, "body", without_types)
    query = Query(order="asc" if order == "asc" else "desc", provider_type=("ENVELOPE_SENT",))
    log = LogQuery("envelope", event_types=("ENVELOPE_SENT",))
    assert await numbers(reader(emulator, order, log=log, query=query)) == [999]
    # A count reads the events, because the number of positions is that of all types.
    count = reader(emulator, log=log, query=query, since=inside.NOW_MICROS - 2 * DAY)
    await count.rank()
    assert not count.filters_natively


@pytest.mark.parametrize("count", [51, 130])
async def test_later_pages_without_rows_and_totals_are_reported(
    count: int, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator, body = emulator_of(count), LogQuery.body

    def other_category(query: LogQuery, page: int, limit: int) -> dict[str, Any]:
        return {**body(query, page, limit), "category": "envelope" if (page - 1) * limit < 50 else "team"}

    monkeypatch.setattr(LogQuery, "body", other_category)
    batch = await reader(emulator, order).read(200, 64)
    assert (len(batch.records), batch.ended, batch.unproven) == (50, True, True)
    assert batch.reason == "the provider counts records that its lists do not contain"


async def test_a_count_of_rows_that_have_times_of_their_neighbours_is_an_estimate() -> None:
    """Four records, and after them five that are three days older, of a server that ignores the order."""
    emulator = emulator_of(9, step=0)
    log = emulator.history._logs["envelope"]
    log[:4] = [record._replace(timestamp=record.timestamp + 3 * 86_400_000) for record in log[:4]]
    count = reader(emulator, since=BASE + DAY)
    assert count.lacks_rows(await count.rank())


async def test_an_unreadable_record_of_a_narrow_window_is_not_missing(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of time has it, too: it is counted once, and the batch is proven."""
    emulator, send, bad = emulator_of(600, step=600_000), SubnotoClient.list_logs, {370, 371, 380}

    async def list_logs(*given: Any) -> list[tuple[int, LogPage]]:
        found = await send(*given)
        for row in [row for _, page in found for row in page.rows]:
            data = row.sent.event_data
            row.bad = isinstance(data, dict) and data["n"] in bad
        return found

    monkeypatch.setattr(SubnotoClient, "list_logs", list_logs)
    since, until = (BASE + n * 600 * SECOND for n in (355, 390))
    batch = await reader(emulator, order, since=since, until=until).read(100, 64)
    assert [len(batch.records), batch.ended, batch.bad_records.total()] == [32, True, 3]
    assert (batch.reason, batch.unproven) == (None, False)


async def test_lists_without_the_records_that_totals_count_are_reported(order: str) -> None:
    emulator = emulator_of(10)
    emulator.faults.answer(200, body=b'{"logs": [], "totalCount": 90}', times=20)
    batch = await reader(emulator, order).read(10, 10)
    assert (batch.records, batch.ended) == ([], True)
    assert batch.reason == "the provider counts records that its lists do not contain"
    assert batch.unproven


@pytest.mark.parametrize(("count", "total"), [(1, 0), (50, 0), (130, 0), (1, 1), (50, 50), (90, 90), (130, 130)])
async def test_one_empty_response_hides_no_record(count: int, total: int, order: str) -> None:
    """Any response of a walk by a cold or a warm process."""
    emulator, wanted = emulator_of(count), list(range(count))[:: 1 if order == "asc" else -1]
    for state in ({}, {"index": TimeIndex(), "observations": AccountObservations(lambda: 0)}):
        for at in range(6):
            for _ in range(at):
                emulator.faults.hang(0)
            emulator.faults.answer(200, body=b'{"logs": [], "totalCount": %d}' % total)
            assert await numbers(reader(emulator, order, **state)) == wanted
            emulator.faults.clear()


async def test_a_record_days_behind_the_others_is_counted_in_the_window_of_its_time(order: str) -> None:
    """It is unreadable, because its time contradicts all others, also in a query for that time only."""
    emulator = emulator_of(3)
    late = BASE - 10 * DAY
    log = emulator.history._logs["envelope"]
    log[-1] = log[-1]._replace(timestamp=late // 1000)
    batch = await reader(emulator, order, since=late, until=late + SECOND).read(10, 64)
    assert ([*batch.records], batch.bad_records.total()) == ([], 1)


def test_a_record_with_values_outside_json_has_a_digest() -> None:
    """A cursor contains a digest of the rows of a page, including unreadable ones."""
    body = b'{"logs": [{"timestamp": NaN, "eventData": {"n": 1e999}}], "totalCount": 1}'
    assert digest_of(decode_page(body).rows) == digest_of(decode_page(body.replace(b" ", b"")).rows)


def test_one_unreadable_record_of_an_account_makes_its_counts_estimates() -> None:
    observations = AccountObservations(lambda: 0)
    observations.learn(
        "envelope", [decode_page(b'{"logs": [{"timestamp": 1780000000, "eventType": "X"}], "totalCount": 1}')]
    )
    assert not observations.has_unreadable
    observations.learn("team", [decode_page(b'{"logs": [{"eventType": "X"}], "totalCount": 1}')])
    assert observations.has_unreadable


async def test_a_position_among_read_rows_is_not_searched_again(order: str) -> None:
    """A second page from the same rows calls only for its records."""
    emulator, index, observations = emulator_of(5_000, step=60_000), TimeIndex(), AccountObservations(lambda: 0)

    async def first_page(begin: int) -> int:
        """Return the number of calls for the hundred rows that begin there."""
        emulator.calls.reset()
        time = BASE + begin * 60 * SECOND
        span = {"since": time} if order == "asc" else {"until": time + 1}
        batch = await reader(emulator, order, index=index, observations=observations, **span).read(100, 64)
        found = [record.event().data["n"] for record in batch.records][:100]
        assert found == (list(range(begin, begin + 100)) if order == "asc" else list(range(begin, begin - 100, -1)))
        return emulator.calls.total

    searched = await first_page(2_400)
    onward = 1 if order == "asc" else -1
    again = [await first_page(2_400 + onward * rows) for rows in (0, 1, 20, 50)]
    # In ascending order, one more call confirms that no row was removed meanwhile.
    assert max(again) <= 4 + (order == "asc") < searched
    assert emulator.calls.refused == []


async def test_a_position_between_read_rows_takes_fewer_calls(order: str) -> None:
    """Working days of eight hours: a guess between two known rows is better than one between the ends of the log."""
    hours = [day * 24 + hour for day in range(60) for hour in range(9, 17)]
    rows = [Record("envelope", "ENVELOPE_OPENED", BASE // 1000 + hour * 3_600_000 + minute * 60_000, {})
            for hour in hours for minute in range(0, 60, 2)]  # fmt: skip
    emulator = Emulator(EmulatorOptions(), clock=lambda: inside.NOW + timedelta(days=60), records=rows)

    async def cost(day: int, index: TimeIndex) -> int:
        emulator.calls.reset()
        time = BASE + day * DAY + 12 * 3600 * SECOND
        edges = {"since": time} if order == "asc" else {"until": time}
        await reader(emulator, order, index=index, observations=observations, **edges).read(100, 64)
        return emulator.calls.total

    observations = AccountObservations(lambda: 0)
    index, days = TimeIndex(), (3, 33, 18, 27, 10)
    alone = [await cost(day, TimeIndex()) for day in days]
    after = [await cost(day, index) for day in days]
    assert sum(after[2:]) < sum(alone[2:]) - 2


BEYOND = ["empty", "last", "refused"]


@pytest.mark.parametrize("beyond", BEYOND)
async def test_known_positions_of_a_shifted_log_change_no_result(order: str, beyond: str) -> None:
    emulator, index = emulator_of(5_000, step=60_000, beyond_the_end=beyond), TimeIndex()
    other = emulator_of(5_000, step=61_234)
    wanted = list(range(4_000, 4_100)) if order == "asc" else list(range(4_099, 3_999, -1))
    edges = {"since": BASE + 4_000 * 60 * SECOND, "until": BASE + 4_100 * 60 * SECOND, "index": index}

    assert await numbers(reader(emulator, order, **edges)) == wanted
    emulator.history.delete_oldest(1_000)
    assert await numbers(reader(emulator, order, **edges)) == wanted
    await numbers(reader(other, order, index=index, since=edges["since"]))  # mistaken for this one
    assert await numbers(reader(emulator, order, **edges)) == wanted
    emulator.history.delete_oldest(3_050)  # the log ends before the known positions
    remaining = [number for number in wanted if number >= 4_050]
    assert await numbers(reader(emulator, order, **edges)) == remaining
    assert emulator.calls.refused == []


@pytest.mark.parametrize("rows_a_page", [20, 50])
@pytest.mark.parametrize("cap", [0, 100, 1_000])
@pytest.mark.parametrize("count", [100, 500, 1_030, 2_000])
async def test_a_repeated_last_page_behind_a_low_total_is_read_once(
    count: int, cap: int, rows_a_page: int, order: str
) -> None:
    options = {"beyond_the_end": "last", "total_cap": cap, "totals": "totalCount", "max_limit": rows_a_page}
    emulator, wanted = emulator_of(count, step=60_000, **options), list(range(count))
    for limit in (100, 1_000):
        assert sorted(await numbers(reader(emulator, order), limit)) == wanted
    assert await reader(emulator, since=inside.NOW_MICROS).rank() == count
    assert emulator.calls.refused == []


async def test_pages_that_are_always_refused_are_reported(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, requested, send = reader(emulator_of(500), order), [], SubnotoClient.list_logs

    async def list_logs(
        client: SubnotoClient, query: LogQuery, pages: Sequence[int], limit: int, spent: CallBudget
    ) -> list[tuple[int, LogPage]]:
        requested.append(max(pages))
        refused = LogPage([], 0, "", refusal=SourceFailed("the provider answered 404"))
        return [(page, refused if page > 1 else sent) for page, sent in await send(client, query, pages, limit, spent)]

    monkeypatch.setattr(SubnotoClient, "list_logs", list_logs)
    batch = await found.read(1_000, 40)
    assert (len(batch.records), batch.ended) == (50, True)
    assert batch.reason == "the provider counts records that its lists do not contain"
    assert len(requested) <= 8, "the end is not searched by bisection"


async def test_a_log_that_grows_by_a_page_with_each_call_takes_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    emulator, send = emulator_of(500, step=60_000), SubnotoClient.list_logs

    async def list_logs(*given: Any) -> list[tuple[int, LogPage]]:
        for _ in range(50):
            emulator.history.append("ENVELOPE_OPENED")
        return await send(*given)

    monkeypatch.setattr(SubnotoClient, "list_logs", list_logs)
    wanted = range(400, 500)
    found = reader(emulator, "desc", since=BASE + 400 * 60 * SECOND, until=BASE + 500 * 60 * SECOND)
    assert sorted(await numbers(found)) == list(wanted)
    assert emulator.calls.total <= 11


async def test_the_known_end_is_used_until_many_rows_may_have_been_appended(order: str) -> None:
    emulator, index = emulator_of(1_000, step=60_000), TimeIndex()
    end = BASE + 1_000 * 60 * SECOND
    await numbers(reader(emulator, "desc", index=index, until=end))
    query, known = LogQuery("envelope"), inside.NOW_MICROS
    hint = index.near(query, end + SKEW, known, SKEW, ascending=order == "asc")
    assert hint[0] == 999
    assert index.near(query, end + SKEW, known + 100 * 60 * SECOND, SKEW, ascending=order == "asc") == hint
    assert index.near(query, end + SKEW, known + 102 * 60 * SECOND, SKEW, ascending=order == "asc") is None
    assert index.near(LogQuery("team"), end + SKEW, known, SKEW, ascending=order == "asc") is None


def rows_at(*times: int) -> list[LogRow]:
    return [row_of({"eventType": "X", "timestamp": time // 1000}, time, False) for time in times]


def test_the_index_returns_the_read_rows_around_a_time() -> None:
    index, query = TimeIndex(), LogQuery("envelope")
    step = SKEW // 10
    for page in (0, 1, 5):  # and none between 100 and 250
        index.learn(query, page * 50, rows_at(*(number * step for number in range(page * 50, page * 50 + 50))), 300, 0)

    def around(number: int, *, ascending: bool = True) -> list[int]:
        # `number` is the row at the edge; the wanted rows begin one skew later.
        edge = number * step + step // 2 + (SKEW if ascending else -SKEW)
        return [number for number, _ in index.around(query, edge, SKEW, ascending=ascending)]

    assert around(150) == around(150, ascending=False) == [99, 250]
    assert around(20) == [0, 49]
    assert (around(-1), around(299)) == ([0], [299])
    index.forget(query)
    assert around(150) == []


def test_the_index_measures_how_late_a_record_was_appended() -> None:
    index, query = TimeIndex(), LogQuery("envelope")
    assert index.learn(query, 0, rows_at(1000, 2000), 2, 9_000) == 0, "without an earlier read"
    assert index.learn(query, 0, rows_at(1000, 2000, 9_500), 3, 10_000) == 0
    assert index.learn(query, 0, rows_at(1000, 2000, 9_500, 7_000, 11_000), 5, 12_000) == 3_000
    assert index.learn(query, 0, rows_at(1000, 2000, 9_500, 7_000, 11_000), 5, 99_000) == 0


def test_the_index_of_a_log_is_cleared_if_its_rows_change() -> None:
    index, query = TimeIndex(), LogQuery("envelope")
    index.learn(query, 0, rows_at(*range(1000, 51_000, 1000)), 50, 0)
    assert index.around(query, SKEW + 5_500, SKEW, ascending=True) == [(0, 1000), (49, 50_000)]
    index.learn(query, 49, rows_at(77_000), 50, 0)
    assert index.around(query, SKEW + 5_500, SKEW, ascending=True) == [(49, 77_000)]


def test_the_index_is_bounded() -> None:
    index, query = TimeIndex(), LogQuery("envelope")
    for page in range(10_000):
        index.learn(query, page * 50, rows_at(page * 50_000, page * 50_000 + 49_000), 500_000, 0)
        (log,) = index._logs.values()
        assert len(log.numbers) == len(log.times) <= 8192
    for envelope in range(100):
        index.learn(LogQuery("envelope", str(envelope)), 0, rows_at(1000), 1, 0)
        index.learn(LogQuery("team", None, str(envelope)), 0, rows_at(1000), 1, 0)
    assert len(index._logs) == 64
