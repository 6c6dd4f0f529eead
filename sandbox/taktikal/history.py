"""The emulated company's signing processes: generated, appended, growing with the clock, forgotten."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from sandbox.history import GrowingHistory
from sandbox.identifiers import mix, mix_text
from sandbox.instruments import Clock
from sandbox.schedule import is_twin, step_of, thread_of

from .account import Account
from .options import EmulatorOptions
from .records import Entry, Process
from .store import Store
from .ticks import TICKS_PER_MILLISECOND, TICKS_PER_SECOND, from_datetime

_ENDED = frozenset({"Canceled", "Cancelled", "Expired", "Declined", "Rejected"})


class History(GrowingHistory[Entry]):
    """The processes of a company, as the server reads them and as tests change them."""

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        self.account = Account(options.seed)
        self.store = Store()
        self._options = options
        self._salt = mix_text(options.seed, "ticks")
        self._given: dict[str, Process] = {}
        self._appended: list[Entry] = []
        self._ordinals: dict[int | str, int] = {}
        self._references: list[int | str] = []  # by ordinal: a workflow's number, or the key of a given process
        plans = [[step.offset for step in workflow.steps] for workflow in self.account.workflows]
        super().__init__(options, clock, plans, int(options.lag_seconds * 1000))

    # -- hooks for tests ---------------------------------------------------------------------------------

    def add_process(self, process: Process) -> str:
        """Introduce a process, which shows from its first entry on; returns its key."""
        with self.lock:
            self._given[process.key] = process
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
        """Add an entry to a process now, or once the clock reaches `visible_at`.

        `at` (aware datetime, or ticks since 1970; default now) is its `createdAt` and may be older or
        younger. An unknown process is made with the defaults of `Process`. `members`: further ones by the
        vendor's names (`signeeKey="si…"`).
        """
        moment = self._clock() if at is None else at
        ticks = from_datetime(moment) if isinstance(moment, datetime) else moment
        self.insert([Entry(process_key, status, ticks, description, created_by, id, members)], visible_at)

    def delete_oldest(self, number: int) -> int:
        """Retention: forget the `number` processes created first; returns how many went."""
        with self.lock:
            self.catch_up()
            return self.store.forget_oldest(number)

    def truth(self) -> Iterator[dict[str, Any]]:
        """Every entry visible now in order of insertion, in plain dictionaries of the vendor's member names.

        Besides: `ticks` (100 ns since 1970), `sequence` (order of insertion in the company), `owner`,
        `flowType`, `processStatus`, `processFileName`. `id` is what the options show, or None.
        """
        with self.lock:
            self.catch_up()
            sequences = list(self.store.entries())
        logs: dict[int, dict[int, Entry]] = {}
        for sequence in sequences:
            ordinal = self.store.owners[sequence]
            process = self.process(ordinal)
            if ordinal not in logs:
                logs[ordinal] = dict(self.entries(ordinal, process))
            entry = logs[ordinal][sequence]
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
                "processStatus": self.status(ordinal),
                "processFileName": process.file_name,
            }

    def size(self) -> tuple[int, int]:
        """How many processes and how many entries are visible now."""
        with self.lock:
            self.catch_up()
            return self.store.count()

    # -- what the server reads ---------------------------------------------------------------------------

    def catch_up(self) -> None:
        with self.lock:
            super().catch_up()
            self.store.settle()

    def ordinal_of(self, process_key: str) -> int | None:
        """The ordinal of a visible process by its own key, or None."""
        ordinal = self._ordinals.get(process_key)
        return ordinal if ordinal is not None and self.store.holds(ordinal) else None

    def ordinals_of(self, process_key: str) -> set[int]:
        """The ordinals of the visible processes that go by a key: one at the most where letter case counts."""
        keys = [process_key]
        if self._options.key_case == "ignored":
            wanted = process_key.rstrip().lower()
            keys = [wanted, *(key for key in self._given if key.lower() == wanted)]
        return {ordinal for key in keys if (ordinal := self.ordinal_of(key)) is not None}

    def process(self, ordinal: int) -> Process:
        """A process without its log."""
        reference = self._references[ordinal]
        if isinstance(reference, str):
            return self._given[reference]
        workflow = self.account.workflows[self._schedule.plan_of(reference)]
        return self.account.process(reference, workflow, self.store.created[ordinal])

    def entries(self, ordinal: int, process: Process) -> list[tuple[int, Entry]]:
        """A process's whole log in order of insertion: `(sequence, entry)`, ids given out."""
        found = []
        place = 0
        for sequence in self.store.sequences(ordinal):
            code = self.store.codes[sequence]
            entry = self._appended[-1 - code] if code < 0 else self._generated(code, sequence, process)
            twin = code >= 0 and is_twin(code)
            place += 0 if twin else 1
            if entry.id is None and self._options.entry_ids != "none":
                # A twin came right behind its original, and repeats its number too.
                whole = sequence if twin else sequence + 1
                entry = replace(entry, id=place if self._options.entry_ids == "per_process" else whole)
            found.append((sequence, entry))
        return found

    def status(self, ordinal: int) -> str:
        """The process's present status: Completed, Active or InActive by its entries, or as given."""
        given = self._given.get(str(self._references[ordinal]))
        if given is not None and given.status is not None:
            return given.status
        present = "Active"
        for sequence in self.store.sequences(ordinal):
            code = self.store.codes[sequence]
            word = self._appended[-1 - code].status if code < 0 else self._step(code).status
            if word == "Completed":
                return "Completed"
            if word in _ENDED:
                present = "InActive"
        return present

    # -- inside ------------------------------------------------------------------------------------------

    def _step(self, code: int) -> Any:
        return self.account.workflows[self._schedule.plan_of(thread_of(code))].steps[step_of(code)]

    def _generated(self, code: int, sequence: int, process: Process) -> Entry:
        number = thread_of(code)
        workflow = self.account.workflows[self._schedule.plan_of(number)]
        return self.account.entry(number, workflow, workflow.steps[step_of(code)], process, self.store.ticks[sequence])

    def _take_item(self, item: Entry) -> None:
        self._appended.append(item)
        ordinal = self._ordinal(item.process_key, item.ticks)
        self.store.add_entry(ordinal, -len(self._appended), item.ticks)

    def _take_steps(self, due: list[tuple[int, int]]) -> None:
        precision = self._options.created_precision
        for moment, code in due:
            ticks = moment * TICKS_PER_MILLISECOND
            if precision == "seconds":
                ticks -= ticks % TICKS_PER_SECOND
            elif precision == "ticks":
                # Simultaneous entries of one process differ in the seventh digit; those of a burst do not.
                ticks += mix(self._salt ^ moment) % 1000 * 10 + step_of(code) % 10
            self.store.add_entry(self._ordinal(thread_of(code), ticks), code, ticks)

    def _ordinal(self, reference: int | str, ticks: int) -> int:
        """The ordinal of a process, by its workflow's number or its key; a new one where it is the first entry."""
        ordinal = self._ordinals.get(reference)
        if ordinal is None:
            created: int | None = None
            if isinstance(reference, str):
                created = self._given.setdefault(reference, Process(reference)).created
            ordinal = self._ordinals[reference] = self.store.add_process(ticks if created is None else created)
            if isinstance(reference, int):
                self._ordinals[self.account.process_key(reference)] = ordinal
            self._references.append(reference)
        return ordinal
