"""The emulated account's records: generated, appended, growing with the clock, deleted by retention."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from random import Random
from typing import Any, NamedTuple

from sandbox.history import GrowingHistory
from sandbox.identifiers import mix, mix_text
from sandbox.instruments import Clock, to_milliseconds
from sandbox.schedule import step_of, thread_of

from .event_types import CATEGORIES
from .options import EmulatorOptions
from .workflows import SYSTEM, Account, Step, Workflow


@dataclass(frozen=True, slots=True)
class Record:
    """One log record with the members of all shape generations. `timestamp` in milliseconds."""

    category: str
    event_type: str
    timestamp: int
    event_data: Mapping[str, Any] = field(default_factory=dict)
    author: Mapping[str, Any] = field(default_factory=lambda: SYSTEM)
    envelope_uuid: str | None = None
    workspace_uuid: str | None = None


class Row(NamedTuple):
    """One record in the log of a category. `sequence`: the vendor's hidden `id`. `envelope`: its UUID in lower case.
    `code`: a generated record's schedule code, or -1 - its index among the inserted ones."""

    timestamp: int
    sequence: int
    event_type: str
    envelope: str
    workspace: str | None
    code: int


class History(GrowingHistory[Record]):
    """The records of a team: reads for the server, changes for tests."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        self.account = Account(options.seed, options.newer_types, options.team_name)
        self._whole_seconds = options.unit == "seconds"
        self._skew = int(options.skew_seconds * 1000)
        self._salt = mix_text(options.seed, "skew")
        self._ties, self._shuffle = options.ties, Random(mix_text(options.seed, "ties"))
        self._logs: dict[str, list[Row]] = {category: [] for category in CATEGORIES}
        self._by_time: dict[str, list[Row]] = {}  # sorted copies of the logs, valid while their sizes are equal
        self._sequences = dict.fromkeys(CATEGORIES, 0)
        self._appended: list[Record] = []
        super().__init__(options, clock, [[step.offset for step in one.steps] for one in self.account.workflows])
        for log in self._logs.values() if options.wrong_time != "none" else ():
            index = options.wrong_time_at
            if -len(log) <= index < len(log):
                right = log[index].timestamp
                wrong = {"ahead": right + 600_000, "future": 4_070_908_800_000, "epoch": 0, "old": right - 7_200_000}
                log[index] = log[index]._replace(timestamp=wrong[options.wrong_time])

    # -- hooks for tests ---------------------------------------------------------------------------------

    def append(
        self,
        event_type: str,
        *,
        category: str = "envelope",
        timestamp: datetime | int | None = None,
        event_data: Mapping[str, Any] | None = None,
        author: Mapping[str, Any] | None = None,
        envelope_uuid: str | None = None,
        workspace_uuid: str | None = None,
        visible_at: datetime | None = None,
    ) -> None:
        """Insert a record now (or when the clock reaches `visible_at`), as the newest by `id`.

        `timestamp` (aware datetime or milliseconds; default now) is independent of `id`. `author` needs `id`,
        `uuid`, `email`, `name` (default: the system). An envelope record without identifiers gets
        envelope number 0 and the first workspace.
        """
        now = to_milliseconds(self._clock())
        moment = now if timestamp is None else timestamp
        envelope = category == "envelope"
        record = Record(
            category=category,
            event_type=event_type,
            timestamp=to_milliseconds(moment) if isinstance(moment, datetime) else moment,
            event_data=event_data or {},
            author=author or SYSTEM,
            envelope_uuid=(envelope_uuid or self.account.envelopes.uuid(0)) if envelope else None,
            workspace_uuid=(workspace_uuid or self.account.workspaces[0]) if envelope else None,
        )
        self.insert([record], visible_at=visible_at)

    def delete_oldest(self, number: int, category: str = "envelope") -> int:
        """Apply retention: delete the `number` first inserted records of a category; returns the number deleted."""
        with self.lock:
            self.catch_up()
            log = self._logs[category]
            before = len(log)
            del log[:number]
            self._by_time.pop(category, None)
            return before - len(log)

    def truth(self, category: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield all visible records as dictionaries, by category, in order of insertion.

        `timestamp` in milliseconds, `author` with `id` and `uuid` for any options, and `sequence`: the hidden id,
        ascending with insertion within a category.
        """
        for name in CATEGORIES if category is None else (category,):
            with self.lock:
                self.catch_up()
                log = list(self._logs[name])
            for row in log:
                record = self.record(row)
                yield {
                    "sequence": row.sequence,
                    "category": record.category,
                    "eventType": record.event_type,
                    "eventData": dict(record.event_data),
                    "timestamp": record.timestamp,
                    "author": dict(record.author),
                    "envelopeUuid": record.envelope_uuid,
                    "workspaceUuid": record.workspace_uuid,
                }

    def size(self, category: str | None = None) -> int:
        """Return the number of visible records."""
        with self.lock:
            self.catch_up()
            return sum(len(log) for name, log in self._logs.items() if category in (None, name))

    # -- reads of the server -------------------------------------------------------------------------------

    def knows_workspace(self, uuid: str) -> bool:
        """Whether the team has this workspace, or had a record in it."""
        return uuid in self.account.workspaces or any(uuid == record.workspace_uuid for record in self._appended)

    def select(
        self, category: str, workspace: str | None, envelope: str | None, types: frozenset[str], by: str
    ) -> list[Row] | None:
        """Return the visible records that match, ascending by `id` or `timestamp`; None if the envelope has no record.
        Hold the lock."""
        self.catch_up()
        rows = self._logs[category] if by == "id" else self._sorted(category)
        if envelope is not None:
            wanted = envelope.lower()
            rows = [row for row in rows if row.envelope == wanted]
            if not rows:
                return None
        if workspace is not None or types:
            rows = [
                row for row in rows if workspace in (None, row.workspace) and (not types or row.event_type in types)
            ]
        return rows

    def _sorted(self, category: str) -> list[Row]:
        """Return the log by time; the options define the order of equal times."""
        rows = self._logs[category]
        if self._ties == "shuffled":
            return sorted(rows, key=lambda row: (row.timestamp, self._shuffle.random()))
        found = self._by_time.get(category, [])
        if len(found) != len(rows):
            step = -1 if self._ties == "reverse" else 1
            found = self._by_time[category] = sorted(rows[::step], key=attrgetter("timestamp"))
        return found

    def record(self, row: Row) -> Record:
        """Return the record of a row."""
        if row.code < 0:
            return replace(self._appended[-1 - row.code], timestamp=row.timestamp)
        number, workflow, step = self._step(row.code)
        return Record(
            category=workflow.category,
            event_type=step.event_type,
            timestamp=row.timestamp,
            event_data=self.account.event_data(number, workflow, step),
            author=self.account.author(number, step),
            envelope_uuid=row.envelope or None,
            workspace_uuid=row.workspace,
        )

    # -- internals ---------------------------------------------------------------------------------------

    def _step(self, code: int) -> tuple[int, Workflow, Step]:
        number = thread_of(code)
        workflow = self.account.workflows[self._schedule.plan_of(number)]
        return number, workflow, workflow.steps[step_of(code)]

    def _take_item(self, item: Record) -> None:
        self._appended.append(item)
        where = item.event_type, (item.envelope_uuid or "").lower(), item.workspace_uuid
        self._add(item.category, item.timestamp, *where, -len(self._appended))

    def _take_steps(self, due: list[tuple[int, int]]) -> None:
        for moment, code in due:
            # The skew depends only on the time, so that simultaneous records stay simultaneous.
            drawn = mix(self._salt ^ moment) if self._skew else 0
            skew = (drawn >> 1) % (self._skew + 1) if drawn & 1 else 0
            number, workflow, step = self._step(code)
            envelope, workspace = "", None
            if workflow.category == "envelope":
                envelope, workspace = self.account.envelopes.uuid(number), self.account.workspace(number)
            self._add(workflow.category, moment - skew, step.event_type, envelope, workspace, code)

    def _add(
        self, category: str, timestamp: int, event_type: str, envelope: str, workspace: str | None, code: int
    ) -> None:
        if self._whole_seconds:
            timestamp -= timestamp % 1000
        row = Row(timestamp, self._sequences[category], event_type, envelope, workspace, code)
        self._sequences[category] += 1
        self._logs[category].append(row)
