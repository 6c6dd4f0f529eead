"""The emulator as an ASGI application: `GET /api/signing/activity` and `GET /api/signing/activity/total`."""

import base64
import hmac
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.faults import Faults
from sandbox.instruments import CallLog, Clock, Instrumented, call_of, utc_now

from .history import History
from .options import EmulatorOptions
from .query import Query, VendorError, parse_query
from .records import Entry, Process
from .rendering import in_pascal_case, render_process
from .selection import Selector

BASE_PATH = "/api"


class Emulator:
    """A Taktikal company. `app` is what to serve; `history`, `calls`, `faults` and `latency` are for tests.

    `processes`: a history given whole, each process with its log in order of insertion, in place of the
    generated one.
    """

    def __init__(
        self,
        options: EmulatorOptions | None = None,
        *,
        clock: Clock | None = None,
        processes: Iterable[tuple[Process, Iterable[Entry]]] | None = None,
    ) -> None:
        options = options or EmulatorOptions()
        self.options = options if processes is None else replace(options, events=0)
        self.clock = clock or utc_now
        self.history = History(self.options, self.clock)
        for process, entries in processes or []:
            self.history.add_process(process)
            for entry in entries:
                self.history.insert(entry)
        self._selector = Selector(self.history, self.options)
        routes = [
            Route(f"{BASE_PATH}/signing/activity", self._activity, methods=["GET"]),
            Route(f"{BASE_PATH}/signing/activity/total", self._total, methods=["GET"]),
        ]
        handlers: Any = {VendorError: self._error, HTTPException: self._unknown_path}
        self.app = Instrumented(Starlette(routes=routes, exception_handlers=handlers), self.clock)

    @property
    def calls(self) -> CallLog:
        """What was asked and answered."""
        return self.app.calls

    @property
    def faults(self) -> Faults:
        """What is to go wrong next."""
        return self.app.faults

    @property
    def latency(self) -> float:
        """Seconds every answer waits; may be set while serving."""
        return self.app.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.app.latency = seconds

    def env(self, base_url: str) -> dict[str, str]:
        """The settings of a gateway's source that reads this company."""
        return {
            "TAKTIKAL_BASE_URL": base_url + BASE_PATH,
            "TAKTIKAL_COMPANY_KEY": self.options.company_key,
            "TAKTIKAL_API_KEY": self.options.api_key,
        }

    # -- endpoints ---------------------------------------------------------------------------------------

    async def _activity(self, request: Request) -> Response:
        query = self._admit(request)
        with self.history.lock:
            ordinals = self._selector.page(query)
            answer = [self._render(ordinal, query) for ordinal in ordinals]
        call_of(request).records = len(answer)
        return self._json(answer)

    async def _total(self, request: Request) -> Response:
        query = self._admit(request)
        with self.history.lock:
            total = len(self._selector.select(query))
        return self._json({"total": total})

    def _admit(self, request: Request) -> Query:
        """Check the credentials, then read the query."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        right = base64.b64encode(f"{self.options.company_key}:{self.options.api_key}".encode())
        if scheme.lower() != "basic" or not hmac.compare_digest(credentials.strip().encode(), right):
            raise VendorError(401, "NotAuthenticated", "Not authenticated")
        return parse_query(request.query_params.multi_items(), self.options)

    # -- answers -----------------------------------------------------------------------------------------

    def _render(self, ordinal: int, query: Query) -> dict[str, Any]:
        process = self.history.process(ordinal)
        entries = [entry for _, entry in self.history.entries(ordinal, process)]
        if self.options.logs == "trimmed" and not self._selector.ignores_dates(query):
            entries = [entry for entry in entries if query.start <= entry.ticks < query.end]
        return render_process(process, self.history.status(ordinal), entries, self.options)

    def _json(self, content: Any, status: int = 200) -> Response:
        if self.options.letter_case == "pascal":
            content = in_pascal_case(content)
        return Response(msgspec.json.encode(content), status, media_type="application/json; charset=utf-8")

    async def _error(self, request: Request, error: VendorError) -> Response:
        if error.refused:
            call_of(request).refused = str(error)
        response = self._json(error.body(), error.status)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="/auth/basic"'
        return response

    async def _unknown_path(self, request: Request, error: HTTPException) -> Response:
        """In plain text: where ServiceStack has no route, it is not the API that answers."""
        call_of(request).refused = "unknown path"
        return Response("Handler for Request not found (404)", 404, media_type="text/plain")


def create_app(
    options: EmulatorOptions | None = None,
    *,
    clock: Clock | None = None,
    processes: Iterable[tuple[Process, Iterable[Entry]]] | None = None,
) -> Instrumented:
    """The ASGI application alone, for whoever needs none of the hooks."""
    return Emulator(options, clock=clock, processes=processes).app


def make_sandbox(*, events: int, seed: int, days: float = 60, clock: Clock | None = None) -> Emulator:
    """The emulator that `--sandbox` serves: the likeliest behaviour, a history of `events` log entries."""
    return Emulator(EmulatorOptions(seed=seed, events=events, days=days), clock=clock)
