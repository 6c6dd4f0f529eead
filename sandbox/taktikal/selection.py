"""Which processes a query selects, and in which order they come."""

from random import Random
from typing import NamedTuple

from sandbox.identifiers import mix

from .history import History
from .options import EmulatorOptions
from .query import Query


class _Facts(NamedTuple):
    """What filters look at. `text`: key, file name, and the signees' names, e-mails, phones and SSNs."""

    user: str
    flow_type: str
    flow_key: str
    text: str


class Selector:
    """Runs queries on a history; remembers each process's facts, which never change."""

    def __init__(self, history: History, options: EmulatorOptions) -> None:
        self._history = history
        self._options = options
        self._facts: dict[int, _Facts] = {}
        self._random = Random(options.seed)

    def select(self, query: Query) -> set[int]:
        """The ordinals of all processes that match, without `Take` and `Skip`. Hold the history's lock."""
        self._history.catch_up()
        found = self._in_range(query)
        if query.user or query.flow_type or query.flow_key or query.search or query.status != "All":
            found = {ordinal for ordinal in found if self._matches(ordinal, query)}
        return found

    def ordered(self, query: Query) -> list[int]:
        """The ordinals of all processes that match, in the order that the options choose."""
        ordered = self._history.store.newest_first(self.select(query))
        order = self._options.order
        if order == "oldest":
            ordered.reverse()
        elif order == "shuffled_stable":
            ordered.sort(key=mix)
        elif order == "shuffled":
            self._random.shuffle(ordered)
        return ordered

    def ignores_dates(self, query: Query) -> bool:
        """Whether this server looks at the dates of this query at all."""
        return query.process_key is not None and self._options.key_dates == "ignored"

    def _in_range(self, query: Query) -> set[int]:
        store = self._history.store
        if query.process_key is None:
            if self._options.range_selects == "creation":
                return store.created_between(query.start, query.end)
            found = store.active(query.start, query.end)
            if self._options.range_selects == "last_update":
                found = {ordinal for ordinal in found if self._moments(ordinal)[0] < query.end}
            return found
        return {
            ordinal
            for ordinal in self._history.ordinals_of(query.process_key)
            if self.ignores_dates(query) or any(query.start <= moment < query.end for moment in self._moments(ordinal))
        }

    def _moments(self, ordinal: int) -> list[int]:
        """The ticks of which a range must hold one for a process to be selected."""
        store = self._history.store
        if self._options.range_selects == "creation":
            return [store.created[ordinal]]
        moments = [store.ticks[sequence] for sequence in store.sequences(ordinal)]
        return [max(moments)] if self._options.range_selects == "last_update" else moments

    def _matches(self, ordinal: int, query: Query) -> bool:
        facts = self._facts.get(ordinal) or self._remember(ordinal)
        if query.user is not None and facts.user != query.user.lower():
            return False
        if query.flow_type is not None and facts.flow_type != query.flow_type:
            return False
        if query.flow_key is not None and facts.flow_key != query.flow_key:
            return False
        if query.search is not None and query.search.lower() not in facts.text:
            return False
        return query.status == "All" or self._history.status(ordinal) == query.status

    def _remember(self, ordinal: int) -> _Facts:
        process = self._history.process(ordinal)
        parts = [process.key, process.file_name]
        for signee in process.signees:
            parts += [signee.get(name) or "" for name in ("name", "email", "phone", "ssn")]
        facts = _Facts(process.started_by.lower(), process.flow_type, process.flow_key, "\n".join(parts).lower())
        self._facts[ordinal] = facts
        return facts
