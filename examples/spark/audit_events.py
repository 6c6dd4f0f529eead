"""Audit events as a Spark table: a PySpark 4 Python data source over the gateway's `GET /events`.

    register(spark)
    batch = spark.read.format("audit_events").options(url=URL, since="2026-01-01").load()
    stream = spark.readStream.format("audit_events").options(url=URL, since="2026-01-01").load()

Batch: the window is cut into `partitions` windows that touch and do not overlap, each read by its own task, so that
each event is in exactly one of them. Streaming: a follower. The offsets in the checkpoint are the gateway's cursors,
which any replica resumes; a batch that is asked for again after a restart ends with the same event.

The API key is read from the environment of the driver (`GATEWAY_KEY`, or the variable that `key_env` names) and goes to
the tasks with the reader. It is no option, because Spark shows options in plans, event logs and its user interface.
Needs the standard library, PySpark 4 and the PyArrow that PySpark's data sources need.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import audit_gateway_client
from audit_gateway_client import GatewayClient, Secret
from pyspark import cloudpickle
from pyspark.sql import SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition, SimpleDataSourceStreamReader
from pyspark.sql.types import StructType

SCHEMA = """
    id STRING NOT NULL, source STRING NOT NULL, provider STRING NOT NULL, type STRING NOT NULL, category STRING,
    outcome STRING, provider_type STRING, provider_id STRING, occurred_at TIMESTAMP NOT NULL, description STRING,
    actor STRUCT<kind: STRING, id: STRING, name: STRING, email: STRING>,
    envelope STRUCT<id: STRING, name: STRING, status: STRING, owner: STRING, flow_id: STRING, workspace_id: STRING,
                    sequence_id: STRING>,
    recipient STRUCT<id: STRING, name: STRING, email: STRING, phone: STRING, national_id: STRING,
                     signature_type: STRING>,
    delivery STRUCT<channel: STRING, status: STRING, purpose: STRING>,
    user_agent STRING, data STRING
"""

#: Options that are the API's filters; those of the first row may hold several values, separated by commas.
SEVERAL = ("source", "provider", "category", "type", "provider_type", "envelope_id")
ONE = ("workspace_id", "flow_id", "flow_type", "envelope_status", "owner", "actor", "recipient", "q")
OWN = ("url", "key_env", "since", "until", "partitions", "limit", "batch")

MICROSECOND = timedelta(microseconds=1)


def register(spark: SparkSession) -> None:
    """Make `spark.read.format("audit_events")` known. The code of these two modules goes to Spark's processes with what
    they are sent: nothing has to be installed there, and no `--py-files` is needed."""
    for module in (audit_gateway_client, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)
    spark.dataSource.register(AuditEvents)


class AuditEvents(DataSource):
    """The data source. Its options are in README.md; one that is not known is an error."""

    def __init__(self, options: Mapping[str, str]) -> None:
        given = {name.lower(): value for name, value in options.items()}
        if "key" in given:
            raise ValueError("key is no option: Spark shows options. Put the key into the environment, as GATEWAY_KEY")
        if unknown := sorted(set(given) - {*SEVERAL, *ONE, *OWN}):
            raise ValueError(f"{unknown[0]} is no option; there are {', '.join(sorted((*SEVERAL, *ONE, *OWN)))}")
        for name in ("url", "since"):
            if not given.get(name):
                raise ValueError(f"the option {name} is needed")
        super().__init__(given)

    @classmethod
    def name(cls) -> str:
        return "audit_events"

    def schema(self) -> str:
        return SCHEMA

    def reader(self, schema: StructType) -> WindowReader:
        return WindowReader(self.options, schema)

    def simpleStreamReader(self, schema: StructType) -> FollowReader:
        return FollowReader(self.options, schema)


class _Reader:
    """What both readers share. Pickled with everything in it, and sent to the tasks."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        variable = options.get("key_env", "GATEWAY_KEY")
        if not os.environ.get(variable):
            raise ValueError(f"no API key: set {variable} in the environment of the driver")
        self.client = GatewayClient(options["url"], Secret(os.environ[variable]))
        self.filters = [
            (name, value.strip())
            for name in (*SEVERAL, *ONE)
            if name in options
            for value in (options[name].split(",") if name in SEVERAL else [options[name]])
        ]
        self.since = _moment(options["since"])
        self.limit = int(options.get("limit", "1000"))
        self.schema = schema

    def row(self, event: Mapping[str, Any]) -> tuple[Any, ...]:
        """The event as a row of the schema that was asked for; fields that are new in the API are left out."""
        return tuple(_value(field, event.get(field.name)) for field in self.schema.fields)


@dataclass
class Window(InputPartition):
    """From `since` on, up to and without `until`."""

    since: str
    until: str


class WindowReader(_Reader, DataSourceReader):
    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        self.until = _moment(options["until"]) if "until" in options else None
        self.number = int(options.get("partitions", "8"))

    def partitions(self) -> Sequence[Window]:
        """Windows of equal length. Without `until` they end where all sources are complete now."""
        until = self.until or self._complete_through()
        whole = (until - self.since) // MICROSECOND
        if whole <= 0:
            return []
        number = max(1, min(self.number, whole))
        edges = [self.since + whole * part // number * MICROSECOND for part in range(number + 1)]
        return [Window(_text(start), _text(end)) for start, end in pairwise(edges)]

    def read(self, partition: Window) -> Iterator[tuple[Any, ...]]:
        window = [("since", partition.since), ("until", partition.until), ("order", "asc")]
        parameters = [*window, ("limit", str(self.limit)), *self.filters]
        while True:
            page = self.client.page(parameters)
            yield from map(self.row, page["data"])
            if not page["page"]["has_more"]:
                return
            parameters = [("cursor", page["page"]["next_cursor"]), ("limit", str(self.limit))]

    def _complete_through(self) -> datetime:
        page = self.client.page([("since", _text(self.since)), ("limit", "1"), *self.filters])
        known = [source["complete_through"] for source in page["sources"] if source["complete_through"]]
        return min(map(_moment, known), default=self.since)


class FollowReader(_Reader, SimpleDataSourceStreamReader):
    """An offset is `{"since", "cursor", "last"}`: `since` where there is no cursor yet, and the id of the last event
    before the offset, by which a batch that is read again ends where it ended the first time."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        super().__init__(options, schema)
        if "until" in options or "partitions" in options:
            raise ValueError("a stream has no end and one partition: leave out until and partitions")
        self.batch = int(options.get("batch", "10000"))

    def initialOffset(self) -> dict[str, str]:
        return {"since": _text(self.since), "cursor": "", "last": ""}

    def read(self, start: dict[str, str]) -> tuple[Iterator[tuple[Any, ...]], dict[str, str]]:
        """What has come and is settled, up to `batch` events, and where the next batch begins: `start` itself where
        nothing has."""
        rows: list[tuple[Any, ...]] = []
        end = start
        while len(rows) < self.batch:
            page = self._page(end, min(self.limit, self.batch - len(rows)))
            events = page["data"]
            rows += map(self.row, events)
            if events or page["page"]["has_more"]:
                last = events[-1]["id"] if events else end["last"]
                end = {**end, "cursor": page["page"]["next_cursor"], "last": last}
            if not page["page"]["has_more"]:
                break
        return iter(rows), end

    def readBetweenOffsets(self, start: dict[str, str], end: dict[str, str]) -> Iterator[tuple[Any, ...]]:
        """The same batch again, after a restart. More may have come since: it ends with the event that it ended with.

        Raises RuntimeError where that event does not come: then it is no more at the provider, and to go on would leave
        a gap that nobody sees."""
        here = start
        while here["last"] != end["last"]:
            page = self._page(here, self.limit)
            for event in page["data"]:
                yield self.row(event)
                if event["id"] == end["last"]:
                    return
            if not page["page"]["has_more"]:
                raise RuntimeError("the last event of a batch that Spark began is not there any more")
            here = {**here, "cursor": page["page"]["next_cursor"]}

    def _page(self, offset: Mapping[str, str], limit: int) -> dict[str, Any]:
        if offset["cursor"]:
            return self.client.page([("cursor", offset["cursor"]), ("limit", str(limit))])
        beginning = [("since", offset["since"]), ("order", "asc"), ("follow", "true"), ("limit", str(limit))]
        return self.client.page([*beginning, *self.filters])


def _value(field: Any, value: Any) -> Any:
    if isinstance(field.dataType, StructType):
        return None if value is None else tuple(value.get(name) for name in field.dataType.names)
    if field.name == "occurred_at":
        return _moment(value)
    return json.dumps(value, ensure_ascii=False) if field.name == "data" else value


def _moment(text: str) -> datetime:
    """A date (midnight UTC) or an RFC 3339 time with its offset, in UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if len(text) > len("2026-01-01") and moment.tzinfo is None:
        raise ValueError("times need an offset, such as 2026-01-01T00:00:00Z")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
