"""The emulated company's signing processes: generated, appended, growing with the clock, deleted by retention."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from sandbox.history import GrowingHistory
from sandbox.identifiers import mix, mix_text
from sandbox.instruments import Clock
from sandbox.schedule import is_twin, step_of, thread_of

from .account import Account
from .options import EmulatorOptions
from .records import Entry, Process
from .ticks import TICKS_PER_MILLISECOND, TICKS_PER_SECOND, from_datetime

_ENDED = frozenset({"Canceled", "Cancelled", "Expired", "Declined", "Rejected"})


@dataclass(slots=True, eq=False)
class ProcessLog:
    """A visible process. `number`: its workflow's, or None for an inserted process. `created` and `ticks` in ticks.

    `rows`: sequence (order of insertion in the company), ticks, and code of each entry; the code is the schedule's, or
    -1 - the index among inserted entries."""

    ordinal: int
    key: str
    number: int | None
    created: int
    rows: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def ticks(self) -> list[int]:
        return [ticks for _, ticks, _ in self.rows]


class History(GrowingHistory[Entry]):
    """The processes of a company: reads for the server, changes for tests."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        self.account = Account(options.seed)
        self._options = options
        self._salt = mix_text(options.seed, "ticks")
        self._inserted: dict[str, Process] = {}
        self._appended: list[Entry] = []
        self._logs: dict[str, ProcessLog] = {}
        self._by_number: dict[int, ProcessLog] = {}
        self._process_count = self._entry_count = 0  # numbers of processes and entries so far
        plans = [[step.offset for step in workflow.steps] for workflow in self.account.workflows]
        super().__init__(options, clock, plans, int(options.lag_seconds * 1000))

    # -- hooks for tests ---------------------------------------------------------------------------------

    def add_process(self, process: Process) -> str:
        """Add a process, visible from its first entry; returns its key."""
        with self.lock:
            self._inserted[process.key] = process
            return process.key

    def append(
        self,
        process_key: str,
        status: str,
        *,
        at: datetime | int | None = None,
        id: int | None = None,
        description: str = "",
        created_by: str = "Taktikal.Core",
        visible_at: datetime | None = None,
        **members: Any,
    ) -> None:
        """Add an entry to a process now, or when the clock reaches `visible_at`.

        `at` (aware datetime, or ticks since 1970; default now) is its `createdAt`. An unknown
        process is created with the defaults of `Process`. `members`: further ones by the vendor's names
        (`signeeKey="si…"`).
        """
        moment = self._clock() if at is None else at
        ticks = from_datetime(moment) if isinstance(moment, datetime) else moment
        self.insert([Entry(process_key, status, ticks, description, created_by, id, members)], visible_at)

    def delete_oldest(self, number: int) -> int:
        """Apply retention: delete the `number` oldest processes; returns the number deleted."""
        with self.lock:
            self.catch_up()
            oldest = self.newest_first(self._logs.values())[::-1][:number]
            for log in oldest:
                del self._logs[log.key]
            return len(oldest)

    def truth(self) -> Iterator[dict[str, Any]]:
        """Yield every visible entry in order of insertion, as dictionaries with the vendor's member names.

        Also: `ticks` (100 ns since 1970), `sequence` (order of insertion in the company), `owner`,
        `flowType`, `processStatus`, `processFileName`. `id` depends on the options, and may be None.
        """
        with self.lock:
            self.catch_up()
            logs = list(self._logs.values())
        found = []
        for log in logs:
            process = self.process(log)
            found += [(sequence, log, process, entry) for sequence, entry in self.entries(log, process)]
        for sequence, log, process, entry in sorted(found, key=itemgetter(0)):
            yield {
                **entry.members,
                "sequence": sequence,
                "id": entry.id,
                "processKey": entry.process_key,
                "status": entry.status,
                "ticks": entry.ticks,
                "description": entry.description,
                "createdBy": entry.created_by,
                "owner": process.started_by,
                "flowType": process.flow_type,
                "processStatus": self.status(log),
                "processFileName": process.file_name,
            }

    def size(self) -> tuple[int, int]:
        """Return the numbers of visible processes and entries."""
        with self.lock:
            self.catch_up()
            return len(self._logs), sum(len(log.rows) for log in self._logs.values())

    # -- reads of the server -------------------------------------------------------------------------------

    def logs(self, process_key: str | None = None) -> list[ProcessLog]:
        """Return the visible processes, or those with a key: at most one if letter case counts."""
        self.catch_up()
        if process_key is None:
            return list(self._logs.values())
        keys = [process_key]
        if self._options.key_case == "ignored":
            wanted = process_key.rstrip().lower()
            keys = [wanted, *(key for key in self._inserted if key.lower() == wanted)]
        return [self._logs[key] for key in dict.fromkeys(keys) if key in self._logs]

    @staticmethod
    def newest_first(logs: Iterable[ProcessLog]) -> list[ProcessLog]:
        """Return processes by creation, newest first; of equal ones, the last inserted first."""
        return sorted(logs, key=lambda log: (log.created, log.ordinal), reverse=True)

    def process(self, log: ProcessLog) -> Process:
        """Return a process without its log."""
        if log.number is None:
            return self._inserted[log.key]
        workflow = self.account.workflows[self._schedule.plan_of(log.number)]
        return self.account.process(log.number, workflow, log.created)

    def entries(self, log: ProcessLog, process: Process) -> list[tuple[int, Entry]]:
        """Return a process's whole log in order of insertion: `(sequence, entry)`, with ids."""
        found = []
        place = 0
        for sequence, ticks, code in log.rows:
            entry = self._appended[-1 - code] if code < 0 else self._generated(code, ticks, process)
            twin = code >= 0 and is_twin(code)
            place += 0 if twin else 1
            if entry.id is None and self._options.entry_ids != "none":
                # A twin follows its original directly and repeats its number.
                company_id = sequence if twin else sequence + 1
                entry = replace(entry, id=place if self._options.entry_ids == "per_process" else company_id)
            found.append((sequence, entry))
        return found

    def status(self, log: ProcessLog) -> str:
        """Return the process's present status: as set, or Completed, Active or InActive by its entries."""
        inserted = self._inserted.get(log.key)
        if inserted is not None and inserted.status is not None:
            return inserted.status
        present = "Active"
        for _, _, code in log.rows:
            entry_status = self._appended[-1 - code].status if code < 0 else self._step(code).status
            if entry_status == "Completed":
                return "Completed"
            if entry_status in _ENDED:
                present = "InActive"
        return present

    # -- internals ---------------------------------------------------------------------------------------

    def _step(self, code: int) -> Any:
        return self.account.workflows[self._schedule.plan_of(thread_of(code))].steps[step_of(code)]

    def _generated(self, code: int, ticks: int, process: Process) -> Entry:
        number = thread_of(code)
        workflow = self.account.workflows[self._schedule.plan_of(number)]
        return self.account.entry(number, workflow, workflow.steps[step_of(code)], process, ticks)

    def _take_item(self, item: Entry) -> None:
        self._appended.append(item)
        log = self._logs.get(item.process_key)
        if log is None:
            created = self._inserted.setdefault(item.process_key, Process(item.process_key)).created
            log = self._begin(item.process_key, None, item.ticks if created is None else created)
        self._add(log, item.ticks, -len(self._appended))

    def _take_steps(self, due: list[tuple[int, int]]) -> None:
        precision = self._options.created_precision
        for moment, code in due:
            ticks = moment * TICKS_PER_MILLISECOND
            if precision == "seconds":
                ticks -= ticks % TICKS_PER_SECOND
            elif precision == "ticks":
                # Simultaneous entries of one process differ in the seventh digit; those of a burst do not.
                ticks += mix(self._salt ^ moment) % 1000 * 10 + step_of(code) % 10
            number = thread_of(code)
            log = self._by_number.get(number)
            if log is None:
                log = self._by_number[number] = self._begin(self.account.process_key(number), number, ticks)
            self._add(log, ticks, code)

    def _begin(self, key: str, number: int | None, created: int) -> ProcessLog:
        log = self._logs[key] = ProcessLog(self._process_count, key, number, created)
        self._process_count += 1
        return log

    def _add(self, log: ProcessLog, ticks: int, code: int) -> None:
        log.rows.append((self._entry_count, ticks, code))
        self._entry_count += 1
