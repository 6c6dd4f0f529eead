"""The sandbox: emulators are found, served and stopped, and leave no thread or filter behind."""

import logging
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from sandbox import launcher
from sandbox.instruments import LOG_LENGTH, Call, CallLog, Instrumented, utc_now
from sandbox.launcher import find_emulators, start_sandbox
from sandbox.schedule import Schedule, step_of, thread_of
from sandbox.serving import serve

HOUR = 3_600_000
NOW = 1_779_289_200_000  # 2026-05-20T15:00:00Z
PLANS = [(0,), (0, 40, 40, 5 * HOUR), (0, 60_000, 26 * HOUR, 26 * HOUR + 300)]


async def hello(request: Request) -> JSONResponse:
    return JSONResponse({"hello": "world", "padding": "x" * 1000})


def small_app() -> Starlette:
    return Starlette(routes=[Route("/hello", hello), Route("/other", hello)])


def server_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sandbox-server")]


def test_a_served_application_answers_until_its_block_ends() -> None:
    before = server_threads()
    with serve(small_app()) as base_url:
        assert base_url.startswith("http://127.0.0.1:")
        answer = httpx.get(f"{base_url}/hello")
        assert answer.json()["hello"] == "world"
        assert "date" not in answer.headers
        assert "server" not in answer.headers
        assert len(server_threads()) == len(before) + 1
    assert server_threads() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{base_url}/hello")


def test_a_hanging_request_does_not_delay_the_end_of_the_server() -> None:
    instrumented = Instrumented(small_app(), utc_now)
    instrumented.faults.hang(60)
    started, others = time.monotonic(), server_threads()
    with serve(instrumented) as base_url, pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{base_url}/hello", timeout=0.1)
    assert time.monotonic() - started < 10
    assert server_threads() == others


def test_served_applications_log_nothing_and_silence_no_other_logger(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(request: Request) -> PlainTextResponse:
        raise LookupError("a fault of the application")

    caplog.set_level(logging.DEBUG)
    filters = list(logging.getLogger("uvicorn.error").filters)  # those of servers that other tests share
    with serve(Starlette(routes=[Route("/", failing)])) as base_url:
        assert httpx.get(base_url).status_code == 500
        logging.getLogger("uvicorn.error").error("the gateway's own line")
    assert [record.message for record in caplog.records if record.name.startswith("uvicorn")] == [
        "the gateway's own line"
    ]
    assert logging.getLogger("uvicorn.error").filters == filters


def schedule(**changes: object) -> Schedule:
    settings: dict[str, object] = {"seed": 1, "now": NOW, "days": 20, "events": 2000, "plans": PLANS}
    return Schedule(**{**settings, **changes})  # type: ignore[arg-type]


def test_each_workflow_begins_with_its_first_step() -> None:
    steps: dict[int, list[int]] = {}
    for _, code in schedule().due(NOW):
        steps.setdefault(thread_of(code), []).append(step_of(code))
    assert all(found == list(range(len(found))) for found in steps.values())


def test_the_schedule_does_not_depend_on_the_number_of_calls() -> None:
    often, once = schedule(twins=0.1, burst=3), schedule(twins=0.1, burst=3)
    found = often.due(NOW)
    for minute in range(1, 24 * 60 * 3, 7):
        found += often.due(NOW + minute * 60_000)
    whole = once.due(NOW + (24 * 60 * 3 - 1) * 60_000)
    assert found == whole[: len(found)]
    assert len(whole) > 2200
    assert len(found) > len(whole) - 5
    assert once.due(NOW) == []


def test_the_log_of_calls_is_bounded_and_the_counts_are_not() -> None:
    log = CallLog()
    for number in range(LOG_LENGTH + 5):
        log.begin(Call("GET", "/hello", {}, None, {}, started=float(number)))
    assert (len(log.calls), log.calls[-1].started) == (LOG_LENGTH, LOG_LENGTH + 4)
    assert log.total == log.count("/hello") == LOG_LENGTH + 5


def test_the_sandbox_has_every_emulator_and_the_settings_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_PROVIDERS")
    before = server_threads()
    with start_sandbox(events=101, seed=5, days=10) as sandbox:
        assert set(sandbox.stand_ins) == set(find_emulators()) != set()
        assert set(sandbox.base_urls) == set(sandbox.stand_ins)
        for name, stand_in in sandbox.stand_ins.items():
            settings = stand_in.env(sandbox.base_urls[name])
            assert settings.items() <= sandbox.env.items()
            assert any(value.startswith(sandbox.base_urls[name]) for value in settings.values())
            assert httpx.get(f"{sandbox.base_urls[name]}/nowhere").status_code == 404
    assert server_threads() == before


def test_the_sandbox_divides_its_events_among_the_emulators(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class StandIn:
        app = small_app()

        def __init__(self, *, events: int, seed: int, days: int, clock: object) -> None:
            made.append((events, seed, days))

        def env(self, base_url: str) -> dict[str, str]:
            return {}

    three = {name: SimpleNamespace(make_sandbox=StandIn) for name in "abc"}
    monkeypatch.setattr(launcher, "find_emulators", lambda: three)
    monkeypatch.delenv("SANDBOX_PROVIDERS")
    with start_sandbox(events=11, seed=3, days=7):
        assert made == [(4, 3, 7), (4, 3, 7), (3, 3, 7)]
    monkeypatch.setenv("SANDBOX_PROVIDERS", "a,c")
    with start_sandbox(events=11, seed=3, days=7) as sandbox:
        assert made[3:] == [(6, 3, 7), (5, 3, 7)]
        assert list(sandbox.stand_ins) == ["a", "c"]
    monkeypatch.setenv("SANDBOX_PROVIDERS", "a,d")
    with pytest.raises(SystemExit, match="no emulator d; one of a, b, c"), start_sandbox():
        pass
