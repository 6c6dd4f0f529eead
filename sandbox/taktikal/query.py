"""The query of both calls, parsed and refused like ServiceStack.

Sources: the parameter table of the vendor's page; ServiceStack's documentation for names in any letter case
and for `{"responseStatus": {...}}`.
"""

from dataclasses import dataclass
from typing import Any

from .options import EmulatorOptions
from .records import FLOW_TYPES
from .ticks import TICKS_PER_DAY, TICKS_PER_SECOND, parse

DEFAULT_TAKE = 10_000
STATUS_FILTERS = ("All", "Completed", "Active", "InActive")


class VendorError(Exception):
    """Error response in ServiceStack's shape. `refused`: the documents declare such a request invalid."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None, refused: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.refused = refused
        self._code = code
        self._message = message
        self._field = field

    def body(self) -> dict[str, Any]:
        """Return the error object."""
        status: dict[str, Any] = {"errorCode": self._code, "message": self._message}
        if self._field is not None:
            status["errors"] = [{"errorCode": self._code, "fieldName": self._field, "message": self._message}]
        return {"responseStatus": status}


@dataclass(frozen=True, slots=True)
class Query:
    """A valid query. `start` <= ticks < `end`, whether or not the vendor's end is inclusive."""

    start: int
    end: int
    take: int
    skip: int
    user: str | None
    process_key: str | None
    flow_type: str | None
    flow_key: str | None
    search: str | None
    status: str


_PRECISIONS = {
    "ticks": 1,
    "seconds": TICKS_PER_SECOND,
    "minutes": 60 * TICKS_PER_SECOND,
    "days": TICKS_PER_DAY,
}


def parse_query(parameters: list[tuple[str, str]], options: EmulatorOptions) -> Query:
    """Parse the parameters; empty ones count as absent. Raises VendorError 400 for the first error."""
    given = {name.lower(): value for name, value in parameters if value != ""}
    start = _date(given, "StartDate")
    end = _date(given, "EndDate")
    if options.year_one == "refused" and start < parse("1753-01-01"):
        raise VendorError(500, "SqlTypeException", "SqlDateTime overflow. Must be between 1/1/1753 and 12/31/9999.")
    if start >= end:
        raise _refused("LessThan", "'Start Date' must be less than 'End Date'.", "StartDate")
    precision = _PRECISIONS[options.query_precision]
    start -= start % precision
    end -= end % precision
    if options.end_inclusive:
        end += 1
    if options.start_exclusive:
        start += 1
    take = _integer(given, "Take", DEFAULT_TAKE)
    # The default is always accepted.
    if "take" in given and options.max_take is not None and take > options.max_take:
        if options.take_beyond == "refused":
            text = f"'Take' must be less than or equal to '{options.max_take}'."
            raise VendorError(400, "LessThanOrEqual", text, "Take")
        if options.take_beyond == "refused_unnamed":
            raise VendorError(400, "ArgumentException", "Too many.")
    return Query(
        start=start,
        end=end,
        take=_taken(take, options),
        skip=_skipped(_integer(given, "Skip", 0), options),
        user=given.get("user"),
        process_key=given.get("processkey"),
        flow_type=_one_of(given, "FlowType", FLOW_TYPES, None),
        flow_key=given.get("flowkey"),
        search=given.get("search"),
        status=_one_of(given, "StatusFilter", STATUS_FILTERS, "All") or "All",
    )


def _taken(take: int, options: EmulatorOptions) -> int:
    if options.max_take is None or take <= options.max_take:
        return take
    return max(1, options.max_take // 2) if options.take_beyond == "default" else options.max_take


def _skipped(skip: int, options: EmulatorOptions) -> int:
    if options.max_skip is None or skip <= options.max_skip:
        return skip
    return 2**31 if options.skip_beyond == "empty" else 0


def _refused(code: str, message: str, field: str) -> VendorError:
    return VendorError(400, code, message, field, refused=True)


def _date(given: dict[str, str], name: str) -> int:
    text = given.get(name.lower())
    words = name.replace("Date", " Date")
    if text is None:
        raise _refused("NotEmpty", f"'{words}' must not be empty.", name)
    try:
        return parse(text)
    except (ValueError, OverflowError):
        raise _refused("SerializationException", f"'{text}' is not a valid value for {name}.", name) from None


def _integer(given: dict[str, str], name: str, default: int) -> int:
    text = given.get(name.lower())
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > 2**31 - 1:
        raise _refused("SerializationException", f"'{text}' is not a valid value for {name}.", name)
    return int(text)


def _one_of(given: dict[str, str], name: str, values: tuple[str, ...], default: str | None) -> str | None:
    text = given.get(name.lower())
    if text is None:
        return default
    for value in values:
        if value.lower() == text.lower():  # .NET parses enums in any letter case
            return value
    raise _refused("SerializationException", f"Requested value '{text}' was not found.", name)
