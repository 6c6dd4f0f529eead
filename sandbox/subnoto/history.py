"""The emulated account's records: generated, appended, growing with the clock, forgotten by retention."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sandbox.history import GrowingHistory
from sandbox.identifiers import mix, mix_text
from sandbox.instruments import Clock, to_milliseconds
from sandbox.schedule import step_of, thread_of

from .event_types import CATEGORIES
from .options import EmulatorOptions
from .records import Log, Record, RecordIndex
from .workflows import SYSTEM, Account


class History(GrowingHistory[Record]):
    """The records of a team, as the server reads them and as tests change them."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        self.account = Account(options.seed, options.newer_types, options.team_name)
        self._whole_seconds = options.unit == "seconds"
        self._skew = int(options.skew_seconds * 1000)
        self._salt = mix_text(options.seed, "skew")
        self._logs = {category: Log() for category in CATEGORIES}
        self._appended: list[Record] = []
        super().__init__(options, clock, [[step.offset for step in one.steps] for one in self.account.workflows])
        if options.wrong_time != "none":
            for category in CATEGORIES:
                self.misdate(options.wrong_time_at, options.wrong_time, category)

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
        """Insert a record now (or once the clock reaches `visible_at`), as the youngest by `id`.

        `timestamp` (aware datetime or milliseconds; default now) may be older or younger. `author` needs
        `id`, `uuid`, `email`, `name` (default: the system). An envelope record without identifiers gets
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
        """Retention: forget the `number` first inserted records of a category; returns how many went."""
        with self.lock:
            self.catch_up()
            log = self._logs[category]
            before = len(log.all)
            log.forgotten = min(len(log.codes), log.forgotten + number)
            self._index_anew(log)
            return before - len(log.all)

    def misdate(self, index: int, kind: str, category: str = "envelope") -> None:
        """Give the record of that index among those of a category a wrong time: see `EmulatorOptions.wrong_time`."""
        with self.lock:
            log = self._logs[category]
            if not -len(log.all) <= index < len(log.all):
                return
            sequence = log.all.sequences[index]
            right = log.timestamps[sequence]
            wrong = {"ahead": right + 600_000, "future": 4_070_908_800_000, "epoch": 0, "old": right - 7_200_000}
            log.timestamps[sequence] = wrong[kind]
            self._index_anew(log)

    def _index_anew(self, log: Log) -> None:
        log.all = RecordIndex(log.timestamps.__getitem__)
        log.all.add(range(log.forgotten, len(log.codes)))
        log.filtered.clear()
        log.by_envelope.clear()
        log.indexed = log.forgotten

    def truth(self, category: str | None = None) -> Iterator[dict[str, Any]]:
        """Everything visible now, in order of insertion, one category after another, in plain dictionaries.

        `timestamp` in milliseconds, `author` with `id` and `uuid` whatever the options show, and `sequence`:
        the hidden id, ascending with insertion within a category.
        """
        for name in CATEGORIES if category is None else (category,):
            with self.lock:
                self.catch_up()
                sequences = list(self._logs[name].all.sequences)
            for sequence in sequences:
                record = self.record(name, sequence)
                yield {
                    "sequence": sequence,
                    "category": record.category,
                    "eventType": record.event_type,
                    "eventData": dict(record.event_data),
                    "timestamp": record.timestamp,
                    "author": dict(record.author),
                    "envelopeUuid": record.envelope_uuid,
                    "workspaceUuid": record.workspace_uuid,
                }

    def size(self, category: str | None = None) -> int:
        """How many records are visible now."""
        with self.lock:
            self.catch_up()
            return sum(len(log.all) for name, log in self._logs.items() if category in (None, name))

    # -- what the server reads ---------------------------------------------------------------------------

    def knows_workspace(self, uuid: str) -> bool:
        """Whether the team has (or had a record in) this workspace."""
        return uuid in self.account.workspaces or any(uuid == record.workspace_uuid for record in self._appended)

    def index(
        self, category: str, workspace: str | None, envelope: str | None, types: frozenset[str]
    ) -> RecordIndex | None:
        """The visible records that match; None where no record of the envelope exists.

        Built on first use, extended afterwards, so that asking again costs what has come since.
        """
        self.catch_up()
        log = self._logs[category]
        if envelope is not None and not self._records_of(log, envelope):
            return None
        if workspace is None and envelope is None and not types:
            return log.all
        key = (workspace, envelope, types)
        index = log.filtered.get(key)
        if index is None:
            if len(log.filtered) > 256:
                log.filtered.clear()
            index = log.filtered[key] = RecordIndex(log.timestamps.__getitem__)
        pool = log.all.sequences if envelope is None else self._records_of(log, envelope)
        fresh = pool[index.seen :]
        index.seen = len(pool)
        index.add(sequence for sequence in fresh if self._matches(log, sequence, workspace, types))
        return index

    def record(self, category: str, sequence: int) -> Record:
        """A record by its sequence number."""
        log = self._logs[category]
        code = log.codes[sequence]
        timestamp = log.timestamps[sequence]
        if code < 0:
            return replace(self._appended[-1 - code], timestamp=timestamp)
        number = thread_of(code)
        workflow = self.account.workflows[self._schedule.plan_of(number)]
        step = workflow.steps[step_of(code)]
        envelope = category == "envelope"
        return Record(
            category=category,
            event_type=step.event_type,
            timestamp=timestamp,
            event_data=self.account.event_data(number, workflow, step),
            author=self.account.author(number, step),
            envelope_uuid=self.account.envelopes.uuid(number) if envelope else None,
            workspace_uuid=self.account.workspace(number) if envelope else None,
        )

    # -- inside ------------------------------------------------------------------------------------------

    def _take_item(self, item: Record) -> None:
        self._appended.append(item)
        log = self._logs[item.category]
        self._put(log, -len(self._appended), item.timestamp)
        log.all.add([len(log.codes) - 1])

    def _take_steps(self, due: list[tuple[int, int]]) -> None:
        if not due:
            return
        plans = [workflow.category for workflow in self.account.workflows]
        before = {name: len(log.codes) for name, log in self._logs.items()}
        for moment, code in due:
            # The skew hangs on the moment alone, so that simultaneous records stay simultaneous.
            drawn = mix(self._salt ^ moment) if self._skew else 0
            skew = (drawn >> 1) % (self._skew + 1) if drawn & 1 else 0
            self._put(self._logs[plans[self._schedule.plan_of(thread_of(code))]], code, moment - skew)
        for name, log in self._logs.items():
            log.all.add(range(before[name], len(log.codes)))

    def _put(self, log: Log, code: int, timestamp: int) -> None:
        log.codes.append(code)
        log.timestamps.append(timestamp // 1000 * 1000 if self._whole_seconds else timestamp)

    def _envelope_key(self, log: Log, sequence: int) -> object:
        code = log.codes[sequence]
        if code >= 0:
            return thread_of(code)
        uuid = self._appended[-1 - code].envelope_uuid or ""
        number = self.account.envelopes.number(uuid)
        return uuid if number is None else number

    def _records_of(self, log: Log, envelope: str) -> list[int]:
        while log.indexed < len(log.codes):
            log.by_envelope.setdefault(self._envelope_key(log, log.indexed), []).append(log.indexed)
            log.indexed += 1
        number = self.account.envelopes.number(envelope)
        return log.by_envelope.get(envelope if number is None else number, [])

    def _matches(self, log: Log, sequence: int, workspace: str | None, types: frozenset[str]) -> bool:
        code = log.codes[sequence]
        if code < 0:
            record = self._appended[-1 - code]
            return workspace in (None, record.workspace_uuid) and (not types or record.event_type in types)
        number = thread_of(code)
        if workspace is not None and self.account.workspace(number) != workspace:
            return False
        workflow = self.account.workflows[self._schedule.plan_of(number)]
        return not types or workflow.steps[step_of(code)].event_type in types
