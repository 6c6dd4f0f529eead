"""`GET /events/stream`: each event once across reconnects, and the cost of many listeners."""

import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.api.api_keys import ApiKey, Keyring, hash_of
from app.domain.caller import SCOPES
from app.domain.errors import SourceFailed, SourceTimeout
from app.domain.times import format_micros
from tests.api.conftest import ALL, bearer, make_app
from tests.api.gateways import app_over
from tests.api.listener import Message, listening, numbers, read_events, wait_for_heartbeat
from tests.api.memory import PHONE, MemorySource, history, memory_source
from tests.api.server import served
from tests.waiting import wait_until
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, World, micros, served_world

SINCE = {"since": "2026-04-30"}
QUICK: dict[str, Any] = {"stream_poll": 0.02, "stream_heartbeat": 0.05}


@pytest.fixture
def source() -> MemorySource:
    return memory_source(1200)


@pytest.fixture
def port(source: MemorySource) -> Iterator[int]:
    app = make_app([source, memory_source(300, "south")], **QUICK)
    with served(app) as found:
        yield found


def test_a_stream_cut_at_any_byte_resumes_without_loss_or_repetition(port: int) -> None:
    rng = random.Random(6)
    events: list[Any] = []
    last_id = None
    while len(events) < 450:
        with listening(port, last_id=last_id, **SINCE) as connection:
            size, body = rng.choice((10, 3_000, 60_000)), b""
            while len(body) < size and len(events) + body.count(b"\ndata: ") < 450:
                body += next(connection.parts)
            for block in body[:size].decode(errors="ignore").split("\n\n")[:-1]:
                fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
                last_id = fields.get("id", last_id)
                if "data" in fields:
                    events.append(json.loads(fields["data"]))
                    assert fields["id"]
    keys = [(event["occurred_at"], event["source"]) for event in events]
    assert keys == sorted(keys)
    assert len(events) == len({event["id"] for event in events}) >= 450


def test_stream_ids_and_cursors_of_pages_are_interchangeable(port: int) -> None:
    with listening(port, **SINCE) as connection:
        first = read_events(connection, 150)
    params = {"cursor": connection.last_id, "limit": 150}
    page = httpx.get(f"http://127.0.0.1:{port}/events", params=params, headers=bearer()).json()
    with listening(port, cursor=page["page"]["next_cursor"]) as connection:
        third = read_events(connection, 150)
    ids = [message.data["id"] for message in first] + [event["id"] for event in page["data"]]
    ids += [message.data["id"] for message in third]
    assert len(set(ids)) == 450


def test_new_events_of_emulated_accounts_arrive_across_reconnects() -> None:
    rng = random.Random(8)
    # Behind the gateway's own clock, which bounds the settled events.
    clock = Clock(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))
    taktikal, subnoto = TaktikalOptions(events=400, days=10), SubnotoOptions(events=400, days=10, skew_seconds=20)
    with served_world(taktikal, subnoto, clock) as world, served(app_over(world, **QUICK)) as port:
        since = micros(clock()) - 3_600_000_000
        received: list[Message] = []
        last_id = None
        for _ in range(12):
            with listening(port, last_id=last_id, since=format_micros(since)) as connection:
                for _ in range(rng.choice((1, 2))):
                    append_events(world, rng)
                    clock.advance(seconds=rng.choice((40, 90)))
                    due = len(settled_times(world, since)) - len(received)
                    received += read_events(connection, rng.randint(1, due)) if due > 0 else []
                last_id = connection.last_id or last_id
        clock.advance(seconds=300)
        with listening(port, last_id=last_id, since=format_micros(since)) as connection:
            due = len(settled_times(world, since)) - len(received)
            received += read_events(connection, due) if due else []
        times = [micros(datetime.fromisoformat(message.data["occurred_at"])) for message in received]
        assert times == settled_times(world, since)
        assert len({message.data["id"] for message in received}) == len(received) > 12
        # A call that was cancelled while it was sent has no body and is refused, too.
        assert [call for call in world.refused() if call.body is not None] == []


def append_events(world: World, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 4)):
        moment = world.clock() - timedelta(seconds=rng.uniform(0, 20))
        if rng.random() < 0.5:
            world.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment)
        else:
            world.taktikal.history.append(f"spstream{rng.randrange(3)}", "Reminder", at=moment)


def settled_times(world: World, since: int) -> list[int]:
    """Return the times of the events that are settled even if a Date of whole seconds is late."""
    until = world.now - 32_000_000
    return [row[0] for row in world.truth() if since <= row[0] < until]


def test_a_heartbeat_has_an_id_from_which_a_listener_resumes(port: int, source: MemorySource) -> None:
    with listening(port) as connection:
        heartbeats = 0
        for block in connection.blocks():
            heartbeats += block[0] == ": heartbeat"
            if heartbeats == 3:
                break
        last_id = dict(line.partition(": ")[::2] for line in block)["id"]
    with listening(port, last_id=last_id) as connection:
        assert next(connection.blocks())[1].startswith("id: ")


def test_a_stream_without_since_begins_now(source: MemorySource) -> None:
    source.settle = 0.0
    with served(make_app([source], **QUICK)) as port, listening(port) as connection:
        next(connection.blocks())
        record = history("north", 1)[0]
        record.key = (time.time_ns() // 1000, *record.key[1:])
        source.records.append(record)
        (message,) = read_events(connection, 1)
    assert message.data["provider_id"] == "0"


def test_headers_filters_and_raw_records_of_a_stream(port: int) -> None:
    query = {"include": "raw", "type": "envelope.completed", "source": "north"}
    with listening(port, **query, **SINCE) as connection:
        headers, blocks = connection.response.headers, connection.blocks()
        first = next(blocks)
        received = read_events(connection, 400)
    assert connection.response.status_code == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-store"
    assert [line.partition(": ")[0] for line in first[:2]] == ["retry", "id"]
    assert numbers(received) == [("north", str(number)) for number in range(2, 1200, 3)]
    assert received[0].data["raw"] == {"number": 2, "phone": PHONE, "signee": {}}


def test_a_failing_source_is_reported_once_and_its_events_follow(port: int, source: MemorySource) -> None:
    source.error = SourceTimeout("no answer")
    with listening(port, **SINCE) as connection:
        messages = connection.messages()
        problem = next(messages)
        assert (problem.event, problem.id) == ("problem", None)
        assert (problem.data["code"], problem.data["status"]) == ("source_timeout", 504)
        assert problem.data["sources"][0]["name"] == "north"
        wait_for_heartbeat(connection)
        source.error = None
        received = [next(messages) for _ in range(1500)]
    assert {message.event for message in received} == {"message"}, "no second problem"
    assert len({message.data["id"] for message in received}) == 1500


def test_unreadable_records_are_reported_beside_the_events(port: int, source: MemorySource) -> None:
    source.bad_records = 2
    with listening(port, **SINCE) as connection:
        messages = connection.messages()
        received = [next(messages) for _ in range(200)]
    problem = next(message for message in received if message.event == "problem")
    assert problem.data["sources"][0]["detail"] == "2 records that cannot be read are left out"
    assert sum(message.event == "message" for message in received) > 100


def test_a_reason_why_events_may_be_missing_is_reported_once(port: int, source: MemorySource) -> None:
    source.reason = "events may be left out"
    with listening(port, **SINCE) as connection:
        messages = connection.messages()
        received = [next(messages) for _ in range(400)]
    details = [message.data["sources"][0]["detail"] for message in received if message.event == "problem"]
    assert details == ["envelope: events may be left out"]


def test_a_failure_after_unreadable_records_is_reported(port: int, source: MemorySource) -> None:
    """Both have the same code."""
    source.bad_records = 2
    with listening(port, since="2026-06-01") as connection:
        messages = connection.messages()
        details = [next(messages).data["detail"]]
        source.error = SourceFailed("the provider answered 500")
        details.append(next(messages).data["detail"])
    assert details == ["north: 2 records that cannot be read are left out", "north: the provider answered 500"]


@pytest.mark.parametrize("category", ["team", None])
def test_a_forbidden_category_is_reported_once(category: str | None) -> None:
    """A listener would otherwise wait for events that the credentials cannot read. The other events arrive."""
    subnoto = SubnotoOptions(events=120, permissions=frozenset({"envelope"}))
    with served_world(None, subnoto) as world, served(app_over(world, **QUICK)) as port:
        query = {"category": category} if category else {}
        with listening(port, since="2020-01-01", **query) as connection:
            blocks = connection.blocks()
            texts: list[str] = []
            while not any("event: problem" in text for text in texts):
                texts.append("\n".join(next(blocks)))
            # Five heartbeats: the topic has been polled several times by then.
            begin = len(texts)
            while sum(text.startswith(":") for text in texts[begin:]) < 5:
                texts.append("\n".join(next(blocks)))
    (problem,) = [json.loads(text.partition("data: ")[2]) for text in texts if "event: problem" in text]
    events = [text for text in texts if "data: " in text and "event: problem" not in text]
    assert problem["code"] == "source_unauthorized"
    assert [source["name"] for source in problem["sources"]] == ["subnoto"]
    assert bool(events) == (category is None)


@pytest.mark.parametrize(
    ("remaining_keys", "code"),
    [
        ([], "unauthenticated"),
        ([ApiKey("all", hash_of(ALL), frozenset({"events:read"}))], "forbidden"),
        ([ApiKey("all", hash_of(ALL), frozenset(SCOPES), frozenset({"other"}))], "forbidden"),
    ],
    ids=["key", "scope", "source"],
)
def test_a_revoked_grant_ends_the_stream(source: MemorySource, remaining_keys: list[ApiKey], code: str) -> None:
    app = make_app([source], **QUICK)
    with served(app) as port, listening(port, **SINCE) as connection:
        read_events(connection, 1)
        app.state.authenticator.keyring = Keyring(remaining_keys)
        last = list(connection.messages())[-1]
    assert (last.event, last.data["code"]) == ("problem", code)


def test_a_stream_ends_with_a_comment_when_the_gateway_stops(source: MemorySource) -> None:
    app = make_app([source], **QUICK)
    with served(app) as port, listening(port, **SINCE) as connection:
        read_events(connection, 1)
        app.state.ready = False
        list(connection.messages())
    assert connection.comments[-1] == "the gateway is stopping"


def test_listeners_of_one_topic_share_one_poll() -> None:
    """With one poll an hour, ten listeners open one reader."""
    source = memory_source(3)
    app = make_app([source], stream_poll=3600, stream_heartbeat=0.05)
    with served(app) as port:
        with ExitStack() as stack:
            connections = [stack.enter_context(listening(port)) for _ in range(10)]
            for connection in connections:
                wait_for_heartbeat(connection)
            assert source.opened == 1
            wait_for_heartbeat(stack.enter_context(listening(port, "reader")))
            assert source.opened == 2, "fewer grants are another topic"
        wait_until(lambda: not app.state.stream_slots.taken)
        assert not app.state.broadcaster._calls._flights


def test_listeners_with_the_same_since_each_get_every_event(source: MemorySource) -> None:
    app = make_app([source], **QUICK)
    with served(app) as port, listening(port, **SINCE) as one, listening(port, **SINCE) as second:
        both = [read_events(one, 1200), read_events(second, 1200)]
    assert numbers(both[0]) == numbers(both[1]) == [("north", str(number)) for number in range(1200)]


def test_a_slow_listener_delays_no_other_and_loses_no_event() -> None:
    """It reads nothing while more events arrive than all buffers hold, and then all of them."""
    most = 2_500  # events, of 600 bytes or more
    source = memory_source(10)
    source.settle = 0.0
    app = make_app([source], stream_listeners=2, **QUICK)
    with (
        served(app, send_buffer=32_768) as port,
        listening(port, receive_buffer=32_768, **SINCE) as slow,
        listening(port, **SINCE) as quick,
    ):
        for connection in (slow, quick):
            read_events(connection, 10)
            wait_for_heartbeat(connection)
        source.records = source.records + upcoming(most)
        expected = [("north", str(number)) for number in range(10, most + 10)]
        assert numbers(read_events(quick, most)) == expected
        full = httpx.get(f"http://127.0.0.1:{port}/events/stream", headers=bearer())
        assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "overloaded", "30")
        assert numbers(read_events(slow, most)) == expected


def upcoming(size: int) -> list[Any]:
    """Return records of the next second, which no poll has covered yet."""
    records = history("north", size + 10)[10:]
    begin = time.time_ns() // 1000 + 1_000_000
    for place, record in enumerate(records):
        record.key = (begin + place, *record.key[1:])
    return records
