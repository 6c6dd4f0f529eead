"""The emulator as an ASGI application: `GET /api/signing/activity` and `GET /api/signing/activity/total`."""

import base64
import hmac
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.instruments import Clock, Instrumented, call_of, utc_now

from .history import History, ProcessLog
from .options import EmulatorOptions
from .query import Query, VendorError, parse_query
from .records import Entry, Process
from .rendering import in_pascal_case, log_parts, render_process
from .selection import Selector
from .ticks import TICKS_PER_SECOND, from_datetime

BASE_PATH = "/api"


class Emulator(Instrumented):
    """A Taktikal company: the application to serve. `history`, `calls`, `faults` and `latency` are for tests.

    `processes`: a complete history instead of the generated one: processes with their logs in order of insertion.
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
            self.history.insert(entries)
        self._selector = Selector(self.history, self.options)
        self._random = Random(self.options.seed)
        activity = f"{BASE_PATH}/signing/activity"
        routes = [Route(activity, self._activity, methods=["GET"])]
        if self.options.calls == "current":
            routes.append(Route(f"{activity}/total", self._total, methods=["GET"]))
        else:
            routes.append(Route(f"{activity}/company", self._activity))
        handlers: Any = {VendorError: self._error, HTTPException: self._unknown_path}
        super().__init__(Starlette(routes=routes, exception_handlers=handlers), self.clock)

    def env(self, base_url: str) -> dict[str, str]:
        """Return the settings of a source that reads this company."""
        return {
            "TAKTIKAL_BASE_URL": base_url + BASE_PATH,
            "TAKTIKAL_COMPANY_KEY": self.options.company_key,
            "TAKTIKAL_API_KEY": self.options.api_key,
        }

    # -- endpoints ---------------------------------------------------------------------------------------

    async def _activity(self, request: Request) -> Response:
        items = self.items(self._admit(request))
        call_of(request).records = len(items)
        return self._json(items)

    def items(self, query: Query) -> list[dict[str, Any]]:
        """Return the response's array for a query."""
        with self.history.lock:
            logs = self._selector.ordered(query)
            if self.options.split_items == "by_item":
                items = [item for log in logs for item in self._render(log, query)]
                self._check_skip(query, len(items))
                items = items[query.skip : query.skip + query.take]
            else:
                self._check_skip(query, len(logs))
                logs = logs[query.skip : query.skip + query.take]
                items = [item for log in logs for item in self._render(log, query)]
        return items[: self._bytes_allow(items)]

    def _check_skip(self, query: Query, items: int) -> None:
        if self.options.beyond_the_end != "empty" and 0 < query.skip >= items:
            status = 404 if self.options.beyond_the_end == "refused" else 500
            raise VendorError(status, "ArgumentOutOfRangeException", "Skip exceeds the number of results")

    def _bytes_allow(self, items: list[dict[str, Any]]) -> int:
        """Return the number of items that fit into a response: at least one."""
        if self.options.max_bytes is None:
            return len(items)
        sizes = accumulate(len(msgspec.json.encode(item)) for item in items)
        return max(1, sum(size <= self.options.max_bytes for size in sizes))

    async def _total(self, request: Request) -> Response:
        return self._json({"total": self.total(self._admit(request))})

    def total(self, query: Query) -> int:
        """Return the number of processes or items that match a query, with the errors of the options."""
        options = self.options
        if options.totals == "absent":
            raise VendorError(404, "NotFound", "Not found")
        if options.total_lag_seconds:
            seen = from_datetime(self.clock()) - int(options.total_lag_seconds * TICKS_PER_SECOND)
            query = replace(query, end=min(query.end, seen))
        with self.history.lock:
            logs = self._selector.select(query)
            total = len(logs)
            if options.split_items == "by_item":
                total = sum(len(self._render(log, query)) for log in logs)
        if total:
            total = max(0, total + options.total_offset)
        return total if options.total_cap is None else min(total, options.total_cap)

    def _admit(self, request: Request) -> Query:
        """Check the credentials and parse the query."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        right = base64.b64encode(f"{self.options.company_key}:{self.options.api_key}".encode())
        if scheme.lower() != "basic" or not hmac.compare_digest(credentials.strip().encode(), right):
            raise VendorError(401, "NotAuthenticated", "Not authenticated")
        return parse_query(request.query_params.multi_items(), self.options)

    # -- responses ---------------------------------------------------------------------------------------

    def _render(self, log: ProcessLog, query: Query) -> list[dict[str, Any]]:
        """Return the items of a process."""
        process = self.history.process(log)
        entries = [entry for _, entry in self.history.entries(log, process)]
        if self.options.logs == "trimmed" and not self._selector.ignores_dates(query):
            entries = [entry for entry in entries if query.start <= entry.ticks < query.end]
        status = self.history.status(log)
        parts = log_parts(entries, self.options, self._random)
        return [render_process(process, status, part, self.options) for part in parts]

    def _json(self, content: Any, status: int = 200) -> Response:
        if self.options.letter_case == "pascal":
            content = in_pascal_case(content)
        return Response(msgspec.json.encode(content), status, media_type="application/json; charset=utf-8")

    async def _error(self, request: Request, error: VendorError) -> Response:
        if error.refused:
            call_of(request).refused = error.message
        response = self._json(error.body(), error.status)
        if error.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="/auth/basic"'
        return response

    async def _unknown_path(self, request: Request, error: HTTPException) -> Response:
        """Return plain text: paths without a ServiceStack route are handled by another server component."""
        call_of(request).refused = "unknown path"
        return Response("Handler for Request not found (404)", 404, media_type="text/plain")


def make_sandbox(*, events: int, seed: int, days: float = 60, clock: Clock | None = None) -> Emulator:
    """Return the emulator of `--sandbox`: the likeliest behaviour, a history of `events` log entries."""
    return Emulator(EmulatorOptions(seed=seed, events=events, days=days), clock=clock)
