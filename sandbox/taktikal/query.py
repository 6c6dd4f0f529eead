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


@dataclass(eq=False)
class VendorError(Exception):
    """Error response in ServiceStack's shape. `refused`: the documents declare such a request invalid."""

    status: int
    code: str
    message: str
    field: str | None = None
    refused: bool = False

    def body(self) -> dict[str, Any]:
        """Return the error object."""
        status: dict[str, Any] = {"errorCode": self.code, "message": self.message}
        if self.field is not None:
            status["errors"] = [{"errorCode": self.code, "fieldName": self.field, "message": self.message}]
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
    sent = {name.lower(): value for name, value in parameters if value != ""}
    start = _date(sent, "StartDate")
    end = _date(sent, "EndDate")
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
    take = _integer(sent, "Take", DEFAULT_TAKE)
    if options.max_take is not None and take > options.max_take:
        # The default is always accepted.
        if "take" in sent and options.take_beyond == "refused":
            text = f"'Take' must be less than or equal to '{options.max_take}'."
            raise VendorError(400, "LessThanOrEqual", text, "Take")
        if "take" in sent and options.take_beyond == "refused_unnamed":
            raise VendorError(400, "ArgumentException", "Too many.")
        if "take" in sent and options.take_beyond == "fails":
            raise VendorError(500, "SqlException", "Execution Timeout Expired.")
        take = max(1, options.max_take // 2) if options.take_beyond == "default" else options.max_take
    skip = _integer(sent, "Skip", 0)
    if options.max_skip is not None and skip > options.max_skip:
        skip = 2**31 if options.skip_beyond == "empty" else 0
    return Query(
        start=start,
        end=end,
        take=take,
        skip=skip,
        user=sent.get("user"),
        process_key=sent.get("processkey"),
        flow_type=_one_of(sent, "FlowType", FLOW_TYPES, None),
        flow_key=sent.get("flowkey"),
        search=sent.get("search"),
        status=_one_of(sent, "StatusFilter", STATUS_FILTERS, "All") or "All",
    )


def _refused(code: str, message: str, field: str) -> VendorError:
    return VendorError(400, code, message, field, refused=True)


def _date(sent: dict[str, str], name: str) -> int:
    text = sent.get(name.lower())
    words = name.replace("Date", " Date")
    if text is None:
        raise _refused("NotEmpty", f"'{words}' must not be empty.", name)
    try:
        return parse(text)
    except (ValueError, OverflowError):
        raise _refused("SerializationException", f"'{text}' is not a valid value for {name}.", name) from None


def _integer(sent: dict[str, str], name: str, default: int) -> int:
    text = sent.get(name.lower())
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) > 2**31 - 1:
        raise _refused("SerializationException", f"'{text}' is not a valid value for {name}.", name)
    return int(text)


def _one_of(sent: dict[str, str], name: str, values: tuple[str, ...], default: str | None) -> str | None:
    text = sent.get(name.lower())
    if text is None:
        return default
    for value in values:
        if value.lower() == text.lower():  # .NET parses enums in any letter case
            return value
    raise _refused("SerializationException", f"Requested value '{text}' was not found.", name)
