"""Taktikal's two API calls, with every parameter of the vendor's page and the gateway's errors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import msgspec

from app.domain.errors import SourceError, SourceFailed
from app.domain.times import SECOND, to_datetime
from app.providers.base import CallBudget
from app.providers.http.client import ProviderHttp, Response, error_for
from app.providers.http.lenient_json import count_in, read_json
from app.providers.http.response import ResponseTooLarge
from app.providers.taktikal.models import canonical, folded, objects
from app.providers.taktikal.wire import ActivityPage, decode_activity

#: Vendor's page: `Take` "defaults to 10,000". Whether more is accepted is not documented.
MAX_TAKE = 10_000


class DateRange(msgspec.Struct, frozen=True):
    """A requested range, in µs.

    The vendor does not document whether `StartDate` and `EndDate` are inclusive, nor whether fractions count, so a
    window's own range may select too much or too little at its ends. Events are read in the range `around` a window and
    cut to it. A count cannot be cut; it is exact if the range `inside` has the same."""

    start: int
    end: int

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "start", min(max(self.start, YEAR_ONE), _LATEST - SECOND))
        msgspec.structs.force_setattr(self, "end", min(max(self.end, self.start + 1), _LATEST))

    @classmethod
    def around(cls, start: int, end: int) -> DateRange:
        """Return a range that covers [start, end) for any meaning of its ends."""
        first = max(start // SECOND * SECOND, _EARLIEST)
        return cls(max(first - _ROUNDING, _EARLIEST), max(-(-end // SECOND) * SECOND, first + SECOND))

    def halves(self) -> tuple[DateRange, DateRange] | None:
        """Return the halves, which overlap a little in case `StartDate` is exclusive; None for a second."""
        first = -(-self.start // SECOND) * SECOND
        if self.end - first <= SECOND:
            return None
        middle = max((first + self.end) // 2 // SECOND * SECOND, first + SECOND)
        return DateRange(self.start, middle), DateRange(middle - _ROUNDING, self.end)

    @classmethod
    def inside(cls, start: int, end: int) -> DateRange | None:
        """Return a range within [start, end) for any meaning of its ends; None for less than a second, which may be
        empty."""
        first, last = max(-(-start // SECOND) * SECOND, _EARLIEST), min(end - _ROUNDING, _LATEST)
        return cls(first, last) if last - first >= SECOND else None

    def parameters(self) -> dict[str, str]:
        dates = {"StartDate": self.start, "EndDate": self.end}
        return {name: to_datetime(micros).replace(tzinfo=None).isoformat() + "Z" for name, micros in dates.items()}


#: More than the error of a server that rounds: SQL Server's `datetime` holds 1/300 s, and the times in the vendor's
#: examples all end, as its do, in 0, 3 or 7 ms.
_ROUNDING = 10_000

#: .NET's DateTime begins in year 1, which is its default. SQL Server's `datetime` begins in 1753: it refuses year 1.
YEAR_ONE = -62_135_596_800 * SECOND
_EARLIEST = -6_847_804_800 * SECOND
_LATEST = 253_402_128_000 * SECOND  # 9999-12-30, because a server may add a day
WHOLE = DateRange(_EARLIEST, _LATEST)
EVER = DateRange(YEAR_ONE, _LATEST)
NOTHING = DateRange(_EARLIEST, _EARLIEST + SECOND)


#: The vendor's filters (vendor's page, "Query Parameters") and the gateway's parameters.
PARAMETERS = {
    "User": "owner",
    "ProcessKey": "envelope_id",
    "FlowType": "flow_type",
    "FlowKey": "flow_id",
    "Search": "q",
    "StatusFilter": "envelope_status",
}

#: Filters, casefolded, whose refused value does not exist and so matches nothing. The vendor's list of flow types is
#: open. Refused values of other filters prove nothing.
_OF_WHAT_IS_THERE = frozenset({"processkey", "flowtype", "flowkey"})

_LARGE_TAKE = 100  #: above which an error of the server may be that of a `Take`, or of a query that is too slow

_TOTAL = "signing/activity/total"
_NO_SUCH_CALL = frozenset({404, 405, 410, 501})
_NOT_IN_OLDER = frozenset({"Search", "StatusFilter"})  #: filters that a server of the generation without totals ignores


Filters = Mapping[str, str]  #: the vendor's own filters, by their wire names: the keys of PARAMETERS


class TakeRefused(SourceFailed):
    """`take` exceeds the provider's undocumented limit. `by_size`: the response exceeded the gateway's bound."""

    def __init__(self, detail: str, take: int, *, by_size: bool = False) -> None:
        super().__init__(detail)
        self.take, self.by_size = take, by_size


class TaktikalClient:
    """Client without state except connections."""

    def __init__(self, http: ProviderHttp) -> None:
        self._http = http

    async def activity(
        self, within: DateRange, filters: Filters, spent: CallBudget, *, take: int, skip: int = 0
    ) -> ActivityPage:
        """Return at most `take` of the selected processes, in no reliable order. Raises SourceError; TakeRefused if
        fewer may be accepted."""
        paging = {"Take": str(take)} | ({"Skip": str(skip)} if skip else {})
        try:
            answer = await self._call("signing/activity", within, filters, spent, paging)
        except ResponseTooLarge as error:
            if take > 1:
                raise TakeRefused(error.detail, take, by_size=True) from None
            raise
        if answer is None:
            return ActivityPage([], Counter())
        page = decode_activity(answer.body)
        page.date = answer.date
        spent.records += page.items
        return page

    async def total(self, within: DateRange, filters: Filters, spent: CallBudget) -> int | None:
        """Return the number of selected processes; None if the provider sends none, or has no such call. Raises
        SourceError."""
        answer = await self._call(_TOTAL, within, filters, spent, {})
        return 0 if answer is None else decode_total(answer.body)

    async def _call(
        self, path: str, within: DateRange, filters: Filters, spent: CallBudget, paging: Mapping[str, str]
    ) -> Response | None:
        """Return the response, an empty one without a call for totals; None if the provider has no such process or
        flow."""
        parameters = {**within.parameters(), **paging, **filters}
        answer = await self._http.call("GET", path, spent, params=parameters)
        if answer.ok and not is_error(answer.body):
            return answer
        error = decode_error(answer.body)
        # Without a code, the response is not from the API, but from another server at a wrong base URL.
        if answer.status == 404 and error.code is not None and "ProcessKey" in filters:
            return None
        if path is _TOTAL and answer.status in _NO_SUCH_CALL and _NOT_IN_OLDER.isdisjoint(filters):
            return msgspec.structs.replace(answer, body=b"")
        refused = [name for name in filters if name.casefold() in error.fields]
        if answer.status == 400 and refused and error.fields <= _OF_WHAT_IS_THERE:
            return None
        found = error_for(answer, code=error.code)
        take = int(paging.get("Take", "0"))
        is_failure = answer.status == 500 and take > _LARGE_TAKE and "Skip" not in paging
        is_take = is_failure or (answer.status == 400 and take > 1)
        # The vendor does not document the error of a refused `Take`: without a name, a smaller one shows it.
        is_named = "take" in error.fields
        if is_take and (is_named or (not error.fields and await self._accepts(path, parameters, spent))):
            raise TakeRefused(found.detail, take)
        if answer.status == 400 and refused:
            names = ", ".join(PARAMETERS[name] for name in refused)
            raise SourceFailed(f"{found.detail}: it refuses the value of {names}")
        raise found

    async def _accepts(self, path: str, parameters: Mapping[str, str], spent: CallBudget) -> bool:
        """Whether the server accepts a refused query with a `Take` of 1."""
        own = CallBudget(deadline=spent.deadline, role="hint")
        try:
            answer = await self._http.call("GET", path, own, params={**parameters, "Take": "1"})
        finally:
            spent.add(own)
        return answer.ok and not is_error(answer.body)

    async def is_older_server(self, within: DateRange, spent: CallBudget) -> bool:
        """Whether the server is of the generation that has `/signing/activity/company`. Never raises SourceError."""
        try:
            answer = await self._http.call(
                "GET", "signing/activity/company", spent, params={**within.parameters(), "Take": "1"}
            )
            return answer.ok and isinstance(read_json(answer.body).value, list)
        except SourceError:
            return False


def decode_total(body: bytes) -> int | None:
    """`{"total": 1342}`: the number of processes. None for an empty object, in which ServiceStack omits nulls and
    defaults, and for an empty body. Raises SourceFailed."""
    answer = read_json(body).value if body.strip() else None
    if answer is None or answer == {}:
        return None
    total = count_in(canonical(answer).get("total"))
    if total is None:
        raise SourceFailed("the provider's answer names no total")
    return total


_TAKE = re.compile(r"\btake\b", re.IGNORECASE)


class VendorError(msgspec.Struct):
    """`code`: ServiceStack's errorCode; `fields`: the parameters of its errors, casefolded; without any, as for a
    thrown exception, `take` if its message contains that word."""

    code: str | None
    fields: frozenset[str]


def decode_error(body: bytes) -> VendorError:
    """Decode an error response of any content, without exceptions."""
    try:
        answer = folded(read_json(body).value)
    except SourceFailed:
        answer = {}
    status = folded(answer.get("responsestatus"))
    code = status.get("errorcode")
    errors = [folded(one) for one in objects(status.get("errors"))]
    fields = frozenset(one["fieldname"].casefold() for one in errors if isinstance(one.get("fieldname"), str))
    message = status.get("message")
    if not fields and isinstance(message, str) and _TAKE.search(message):
        fields = frozenset({"take"})
    return VendorError(code if isinstance(code, str) else None, fields)


def is_error(body: bytes) -> bool:
    """Whether a body, possibly with a status of success, is an error with a code."""
    return body.lstrip()[:1] == b"{" and decode_error(body).code is not None
