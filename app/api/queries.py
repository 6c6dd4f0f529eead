"""Query strings: read strictly, because a parameter that is silently dropped would widen the answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.types import Scope

from app.domain.errors import ParameterError

MAX_PAIRS = 1000

#: Characters of a query or a cursor that goes into a header: proxies and clients refuse headers of 8 kB.
LONGEST_HEADER = 4096

_SHORT = 2048  #: bytes of a query that is remembered


def pairs_of(request: Request) -> list[tuple[str, str]]:
    """The query's (name, value) pairs as they were written, blank values included. Raises ParameterError."""
    try:
        return parse_query(request.scope)
    except UnicodeError:
        message = "must be percent-encoded UTF-8"
    except ValueError:
        message = f"must have at most {MAX_PAIRS} parameters"
    raise ParameterError("invalid_parameter", [("query", message)])


def wants_no_cache(request: Request) -> bool:
    """Whether the caller asks to go past our caches: `Cache-Control: no-cache`."""
    directives = request.headers.get("cache-control", "").lower().split(",")
    return any(directive.strip() in ("no-cache", "no-store", "max-age=0") for directive in directives)


def parse_query(scope: Scope) -> list[tuple[str, str]]:
    """The same of a request's scope. Raises UnicodeError for what is no percent-encoded UTF-8, ValueError for too many
    pairs."""
    query: bytes = scope["query_string"]
    return list(_read_again(query) if len(query) <= _SHORT else _read(query))


def _read(query: bytes) -> Sequence[tuple[str, str]]:
    return tuple(parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PAIRS))


# The handler reads a query, and then the audit trail does; and callers ask the same again.
_read_again = lru_cache(maxsize=256)(_read)
