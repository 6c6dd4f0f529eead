"""`ProviderHttp` over a scripted provider, with a clock for its pauses."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

from app.providers.base import CallBudget, CommonSettings
from app.providers.http.client import ProviderHttp
from app.providers.http.response import Response
from app.providers.observer import Observer
from tests.providers.http.httpx_transport import HttpxTransport

Reply = Callable[[httpx.Request], Any]
DATE = "Mon, 01 Jun 2026 12:00:00 GMT"


class Timer:
    """A monotonic clock that only `sleep` advances."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, list[float]()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        end = self.now + seconds
        await asyncio.sleep(0)  # concurrent sleepers begin before the clock moves
        self.now = max(self.now, end)


class RecordingObserver(Observer):
    """Records its notifications."""

    def __init__(self) -> None:
        self.calls, self.retries, self.refused, self.states = [], [], [], []  # type: Any, Any, Any, Any

    def on_call(self, source: str, outcome: str, seconds: float) -> None:
        assert (source, seconds >= 0) == ("main", True)
        self.calls.append(outcome)

    def on_retry(self, source: str, reason: str) -> None:
        self.retries.append(reason)

    def on_refused(self, source: str, reason: str) -> None:
        self.refused.append(reason)

    def on_circuit(self, source: str, state: str) -> None:
        self.states.append(state)


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"[]") -> httpx.Response:
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


class Provider:
    """A client whose calls receive `replies` in order, and then the last one again."""

    def __init__(self, *replies: Reply | int, **common: Any) -> None:
        self.replies, self.requests = list(replies), list[httpx.Request]()
        self.timer, self.watch = Timer(), RecordingObserver()
        settings = CommonSettings(timer=self.timer, sleep=self.timer.sleep, observer=self.watch, **common)
        transport = HttpxTransport(httpx.MockTransport(self._reply), settings)
        base, keys = "http://provider.example/api", ("user", "word")
        self.http = ProviderHttp(base, settings, name="main", auth=keys, transport=transport)

    @property
    def request_count(self) -> int:
        return len(self.requests)

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, int):
            return answer(reply)
        found = reply(request)
        if isinstance(found, Exception):
            raise found
        if asyncio.iscoroutine(found):
            found = await found
        assert isinstance(found, httpx.Response)
        return found

    async def call(self, budget: CallBudget | None = None, **given: Any) -> Response:
        return await self.http.call("GET", "things", budget or CallBudget(deadline=time.monotonic() + 30), **given)


def answering(status: int, body: bytes = b"[]", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request: answer(status, named, body)


async def never(*_: object) -> httpx.Response:
    await asyncio.Event().wait()
    raise AssertionError
