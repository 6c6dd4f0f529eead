"""Base class of a provider whose API selects records by time, in time order, and gives each record an id.

Subclass `TimeRangeSource`, implement `headers`, `fetch`, `row` and `normalize`, and pass the class to `make_provider`.
This module does the rest: order, ties, positions, event ids, totals, the probe, filters, `data`, private values,
removal of signing links, unreadable records and the provider's own clock. `docs/guides/adding-a-provider.md` shows one.
"""

from app.providers.kit.reader import FetchedPage, PageRequest
from app.providers.kit.record import Row
from app.providers.kit.source import TimeRangeSource, make_provider

__all__ = ["FetchedPage", "PageRequest", "Row", "TimeRangeSource", "make_provider"]
