"""`GET /events/stream`: each event once, wherever the connection breaks; and what many listeners cost."""

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.api.api_keys import ApiKey, Keyring, hash_of
from app.domain.caller import SCOPES
from app.domain.errors import SourceFailed, SourceTimeout
from app.domain.times import format_micros
from tests.api.conftest import ALL, make_app
from tests.api.gateways import app_over
from tests.api.listener import Message, heard, listening, numbers, take
from tests.api.memory import PHONE, MemorySource, history
from tests.api.server import served
from tests.waiting import wait_until
from tests.worlds import Clock, SubnotoOptions, TaktikalOptions, World, micros, served_world

SINCE = {"since": "2026-04-30"}
QUICK: dict[str, Any] = {"stream_poll": 0.02, "stream_heartbeat": 0.05}


@pytest.fixture
def source() -> MemorySource:
    return MemorySource("north", history("north", 1200))


@pytest.fixture
def port(source: MemorySource) -> Iterator[int]:
    app = make_app([source, MemorySource("south", history("south", 300))], **QUICK)
    with served(app) as found:
        yield found


def test_cut_between_any_two_bytes(port: int) -> None:
    """What had not come whole comes again, and nothing else does; in order."""
    rng = random.Random(6)
    got: list[Any] = []
    last_id = None
    while len(got) < 450:
        with listening(port, last_id=last_id, **SINCE) as connection:
            wanted, body = rng.choice((10, 3_000, 60_000)), b""
            while len(body) < wanted and len(got) + body.count(b"\ndata: ") < 450:
                body += next(connection.parts)
            for block in body[:wanted].decode(errors="ignore").split("\n\n")[:-1]:
                fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
                last_id = fields.get("id", last_id)
                if "data" in fields:
                    got.append(json.loads(fields["data"]))
                    assert fields["id"]
    keys = [(event["occurred_at"], event["source"]) for event in got]
    assert keys == sorted(keys)
    assert len(got) == len({event["id"] for event in got}) >= 450


def test_the_cursor_is_good_for_pages_too_and_the_other_way_round(port: int) -> None:
    key = {"Authorization": f"Bearer {ALL}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=key) as client:
        with listening(port, **SINCE) as connection:
            first = take(connection, 150)
        page = client.get("/events", params={"cursor": connection.last_id, "limit": 150}).json()
        with listening(port, cursor=page["page"]["next_cursor"]) as connection:
            third = take(connection, 150)
    ids = [message.data["id"] for message in first] + [event["id"] for event in page["data"]]
    ids += [message.data["id"] for message in third]
    assert len(set(ids)) == 450


def test_what_comes_is_delivered_over_real_accounts_and_any_number_of_cuts() -> None:
    rng = random.Random(8)
    # Never ahead of the gateway's own clock, which bounds what is settled.
    clock = Clock(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1))
    taktikal, subnoto = TaktikalOptions(events=400, days=10), SubnotoOptions(events=400, days=10, skew_seconds=20)
    with served_world(taktikal, subnoto, clock) as world, served(app_over(world, **QUICK)) as port:
        since = micros(clock()) - 3_600_000_000
        got: list[Message] = []
        last_id = None
        for _ in range(12):
            with listening(port, last_id=last_id, since=format_micros(since)) as connection:
                for _ in range(rng.choice((1, 2))):
                    happen(world, rng)
                    clock.advance(seconds=rng.choice((40, 90)))
                    due = len(settled(world, since)) - len(got)
                    got += take(connection, rng.randint(1, due)) if due > 0 else []
                last_id = connection.last_id or last_id
        clock.advance(seconds=300)
        with listening(port, last_id=last_id, since=format_micros(since)) as connection:
            due = len(settled(world, since)) - len(got)
            got += take(connection, due) if due else []
        assert [micros(datetime.fromisoformat(message.data["occurred_at"])) for message in got] == settled(world, since)
        assert len({message.data["id"] for message in got}) == len(got) > 12
        # A call that was given up half sent is refused, too: it has no body.
        assert [call for call in world.refused() if call.body is not None] == []


def happen(world: World, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 4)):
        moment = world.clock() - timedelta(seconds=rng.uniform(0, 20))
        if rng.random() < 0.5:
            world.subnoto.history.append("ENVELOPE_OPENED", timestamp=moment)
        else:
            world.taktikal.history.append(f"spstream{rng.randrange(3)}", "Reminder", at=moment)


def settled(world: World, since: int) -> list[int]:
    """The times of what a follower must have been sent by now, less what a Date of whole seconds may hold back."""
    mark = world.now - 32_000_000
    return [row[0] for row in world.truth() if since <= row[0] < mark]


def test_heartbeats_carry_the_place_so_that_a_quiet_listener_resumes_there(port: int, source: MemorySource) -> None:
    with listening(port) as connection:
        heard = 0
        for block in connection.blocks():
            heard += block[0] == ": heartbeat"
            if heard == 3:
                break
        last_id = dict(line.partition(": ")[::2] for line in block)["id"]
    with listening(port, last_id=last_id) as connection:
        assert next(connection.blocks())[1].startswith("id: ")


def test_the_first_connection_begins_now(source: MemorySource) -> None:
    source.settle = 0.0
    with served(make_app([source], **QUICK)) as port, listening(port) as connection:
        next(connection.blocks())
        record = history("north", 1)[0]
        record.key = (time.time_ns() // 1000, *record.key[1:])
        source.records.append(record)
        (message,) = take(connection, 1)
    assert message.data["provider_id"] == "0"


def test_head_first_block_filters_and_raw(port: int) -> None:
    asked = {"include": "raw", "type": "envelope.completed", "source": "north"}
    with listening(port, **asked, **SINCE) as connection:
        headers, blocks = connection.response.headers, connection.blocks()
        first = next(blocks)
        got = take(connection, 400)
    assert connection.response.status_code == 200
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-store"
    assert [line.partition(": ")[0] for line in first[:2]] == ["retry", "id"]
    assert numbers(got) == [("north", str(number)) for number in range(2, 1200, 3)]
    assert got[0].data["raw"] == {"number": 2, "phone": PHONE, "signee": {}}


def test_a_source_that_fails_is_told_of_once_and_its_events_follow(port: int, source: MemorySource) -> None:
    source.error = SourceTimeout("no answer")
    with listening(port, **SINCE) as connection:
        messages = connection.messages()
        problem = next(messages)
        assert (problem.event, problem.id) == ("problem", None)
        assert (problem.data["code"], problem.data["status"]) == ("source_timeout", 504)
        assert problem.data["sources"][0]["name"] == "north"
        wait_until(lambda: bool(heard(connection)))
        source.error = None
        got = [next(messages) for _ in range(1500)]
    assert {message.event for message in got} == {"message"}, "told of once"
    assert len({message.data["id"] for message in got}) == 1500


def test_records_that_cannot_be_read_are_reported_and_the_others_come(port: int, source: MemorySource) -> None:
    source.bad_records = 2
    with listening(port, **SINCE) as connection:
        messages = connection.messages()
        got = [next(messages) for _ in range(200)]
    problem = next(message for message in got if message.event == "problem")
    assert problem.data["sources"][0]["detail"] == "2 records that cannot be read are left out"
    assert sum(message.event == "message" for message in got) > 100


def test_a_reason_why_events_may_be_missing_is_reported_once(port: int, source: MemorySource) -> None:
    source.reason = "events may be left out"
    with listening(port, **SINCE) as connection:
        messages = connection.messages()
        got = [next(messages) for _ in range(400)]
    details = [message.data["sources"][0]["detail"] for message in got if message.event == "problem"]
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
def test_what_a_provider_refuses_is_told_of_once(category: str | None) -> None:
    """To whoever would wait for ever for the events of a part that our credentials may not read; the rest comes."""
    subnoto = SubnotoOptions(events=120, permissions=frozenset({"envelope"}))
    with served_world(None, subnoto) as world, served(app_over(world, **QUICK)) as port:
        asked = {"category": category} if category else {}
        with listening(port, since="2020-01-01", **asked) as connection:
            blocks = connection.blocks()
            texts: list[str] = []
            while not any("event: problem" in text for text in texts):
                texts.append("\n".join(next(blocks)))
            # Silence: several pages of its topic are behind it by then.
            told_at = len(texts)
            while sum(text.startswith(":") for text in texts[told_at:]) < 5:
                texts.append("\n".join(next(blocks)))
    told = [json.loads(text.partition("data: ")[2]) for text in texts if "event: problem" in text]
    events = [text for text in texts if "data: " in text and "event: problem" not in text]
    (problem,) = told
    assert problem["code"] == "source_unauthorized"
    assert [source["name"] for source in problem["sources"]] == ["subnoto"]
    assert bool(events) == (category is None)


@pytest.mark.parametrize(
    ("left", "code"),
    [
        ([], "unauthenticated"),
        ([ApiKey("all", hash_of(ALL), frozenset({"events:read"}))], "forbidden"),
        ([ApiKey("all", hash_of(ALL), frozenset(SCOPES), frozenset({"other"}))], "forbidden"),
    ],
    ids=["key", "scope", "source"],
)
def test_what_is_taken_away_from_a_key_ends_the_stream(source: MemorySource, left: list[ApiKey], code: str) -> None:
    app = make_app([source], **QUICK)
    with served(app) as port, listening(port, **SINCE) as connection:
        take(connection, 1)
        app.state.authenticator.keyring = Keyring(left)
        last = list(connection.messages())[-1]
    assert (last.event, last.data["code"]) == ("problem", code)


def test_it_ends_in_order_when_the_gateway_stops(source: MemorySource) -> None:
    app = make_app([source], **QUICK)
    with served(app) as port, listening(port, **SINCE) as connection:
        take(connection, 1)
        app.state.ready = False
        list(connection.messages())
    assert connection.comments[-1] == "the gateway is stopping"


def test_listeners_of_one_topic_share_one_polling() -> None:
    """Polls are few and far between: what ten listeners cost is what one costs."""
    source = MemorySource("north", history("north", 3))
    app = make_app([source], stream_poll=3600, stream_heartbeat=0.05)
    with served(app) as port:
        connections = [listening(port) for _ in range(10)]
        entered = [connection.__enter__() for connection in connections]
        try:
            for connection in entered:
                blocks = connection.blocks()
                while next(blocks)[0] != ": heartbeat":
                    pass
            assert source.opened == 1
            with listening(port, "reader") as other:
                blocks = other.blocks()
                while next(blocks)[0] != ": heartbeat":
                    pass
                assert source.opened == 2, "who may see less is a topic of its own"
        finally:
            for connection in connections:
                connection.__exit__(None, None, None)
        wait_until(lambda: not app.state.stream_slots.taken)
        assert not app.state.broadcaster._calls._flights


def test_listeners_that_resume_at_one_place_at_once_share_their_way_up(source: MemorySource) -> None:
    app = make_app([source], **QUICK)
    with served(app) as port, listening(port, **SINCE) as one, listening(port, **SINCE) as other:
        both = [take(one, 1200), take(other, 1200)]
    assert numbers(both[0]) == numbers(both[1]) == [("north", str(number)) for number in range(1200)]


def test_a_slow_listener_holds_nobody_up_and_misses_nothing() -> None:
    """It does not read while more comes than all buffers hold; then it reads all of it."""
    most = 2_500  # events, of 600 bytes or more
    source = MemorySource("north", history("north", 10))
    source.settle = 0.0
    app = make_app([source], stream_listeners=2, **QUICK)
    with (
        served(app, send_buffer=32_768) as port,
        listening(port, receive_buffer=32_768, **SINCE) as slow,
        listening(port, **SINCE) as quick,
    ):
        for connection in (slow, quick):
            take(connection, 10)
            heard(connection)
        source.records = source.records + upcoming(most)
        expected = [("north", str(number)) for number in range(10, most + 10)]
        assert numbers(take(quick, most)) == expected
        full = httpx.get(f"http://127.0.0.1:{port}/events/stream", headers={"Authorization": f"Bearer {ALL}"})
        assert (full.status_code, full.json()["code"], full.headers["retry-after"]) == (503, "overloaded", "30")
        assert numbers(take(slow, most)) == expected


def upcoming(size: int) -> list[Any]:
    """Records of the coming second: nobody has looked that far yet."""
    records = history("north", size + 10)[10:]
    begin = time.time_ns() // 1000 + 1_000_000
    for place, record in enumerate(records):
        record.key = (begin + place, *record.key[1:])
    return records
