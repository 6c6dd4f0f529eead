"""Selection and order of the processes of a query."""

from random import Random

from sandbox.identifiers import mix

from .history import History, ProcessLog
from .options import EmulatorOptions
from .query import Query
from .records import Process
from .ticks import parse

_WRONG_TIMES = {"year_one": parse("0001-01-01"), "epoch": 0, "future": parse("2099-12-31T12:00")}


class Selector:
    """Run queries on a history; caches each process with its searchable text, which never change."""

    def __init__(self, history: History, options: EmulatorOptions) -> None:
        self._history = history
        self._options = options
        self._processes: dict[int, tuple[Process, str]] = {}
        self._random = Random(options.seed)

    def select(self, query: Query) -> list[ProcessLog]:
        """Return all processes that match, without `Take` and `Skip`. Hold the history's lock."""
        logs = self._history.logs(query.process_key)
        if not self.ignores_dates(query):
            logs = [log for log in logs if self._in_range(log, query)]
        if query.user or query.flow_type or query.flow_key or query.search or query.status != "All":
            logs = [log for log in logs if self._matches(log, query)]
        return logs

    def ordered(self, query: Query) -> list[ProcessLog]:
        """Return all processes that match, in the order of the options."""
        ordered = self._history.newest_first(self.select(query))
        order = self._options.order
        if order == "oldest":
            ordered.reverse()
        elif order == "shuffled_stable":
            ordered.sort(key=lambda log: mix(log.ordinal))
        elif order == "shuffled":
            self._random.shuffle(ordered)
        return ordered

    def ignores_dates(self, query: Query) -> bool:
        """Whether this server ignores the dates of this query."""
        return query.process_key is not None and self._options.key_dates == "ignored"

    def _in_range(self, log: ProcessLog, query: Query) -> bool:
        wrong = _WRONG_TIMES.get(self._options.wrong_times) if log.ordinal % 10 == 3 else None
        if self._options.range_selects == "creation":
            return query.start <= (log.created if wrong is None else wrong) < query.end
        if self._options.range_selects == "last_update":
            return query.start <= (max(log.ticks) if wrong is None else wrong) < query.end
        return any(query.start <= ticks < query.end for _, ticks, _ in log.rows)

    def _matches(self, log: ProcessLog, query: Query) -> bool:
        if log.ordinal not in self._processes:
            process = self._history.process(log)
            parts = [process.key, process.file_name]
            for signee in process.signees:
                parts += [signee.get(name) or "" for name in ("name", "email", "phone", "ssn")]
            self._processes[log.ordinal] = process, "\n".join(parts).lower()
        process, text = self._processes[log.ordinal]
        if query.user is not None and process.started_by.lower() != query.user.lower():
            return False
        if query.flow_type not in (None, process.flow_type) or query.flow_key not in (None, process.flow_key):
            return False
        if query.search is not None and query.search.lower() not in text:
            return False
        return query.status == "All" or self._history.status(log) == query.status
