"""Memoized results for texts of a provider are bounded in number and size."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from app.domain.text import LONGEST, memoize
from app.privacy.person_fields import is_person_name, is_private_name
from app.privacy.pseudonyms import Pseudonyms
from app.privacy.redaction import Redactor
from app.providers.taktikal.mapping import meaning_of
from tests.api.memory import MemoryRecord

GIGANTIC = 100_000  #: characters


def computed_for(texts: list[str], most: int) -> list[str]:
    """Call a memoized function for each of `texts`, and return those for which it was computed."""
    computed: list[str] = []
    length = memoize(lambda text: computed.append(text) or len(text), most)  # type: ignore[func-returns-value]
    assert [length(text) for text in texts] == [len(text) for text in texts]
    return computed


def test_results_are_memoized_unless_the_text_is_long_or_was_evicted() -> None:
    assert computed_for(["phone", "name", "phone", "name"], most=2) == ["phone", "name"]
    longest, longer = "x" * LONGEST, "x" * (LONGEST + 1)
    assert computed_for([longest, longer, longest, longer], most=10) == [longest, longer, longer]
    many = [str(number) for number in range(1000)]
    assert len(computed_for(many + many, most=10)) >= 2000 - 10, "more than 10 results were kept"


class GiantRecord(MemoryRecord):
    """A record with a gigantic name of a member."""

    def event(self) -> Any:
        event = super().event()
        event.data = {f"{'x' * GIGANTIC}{self.number}": {f"{'y' * GIGANTIC}{self.number}": "text"}}
        return event


def redact(number: str) -> None:
    Redactor(private=False).event(GiantRecord("acme", int(number)))
    Redactor(private=True).event(GiantRecord("acme", int(number)))


PSEUDONYMS = Pseudonyms("s" * 32)
MEMOIZED: dict[str, Callable[[str], object]] = {
    "private names": lambda number: is_private_name("x" * GIGANTIC + number),
    "identity names": lambda number: is_person_name("x" * GIGANTIC + number),
    "statuses": lambda number: meaning_of("x" * GIGANTIC + number),
    "pseudonyms": lambda number: PSEUDONYMS.of("x" * GIGANTIC + number),
    "members of events": redact,
}


@pytest.mark.parametrize("function", MEMOIZED.values(), ids=MEMOIZED.keys())
def test_gigantic_texts_are_not_kept_in_memory(function: Callable[[str], object]) -> None:
    function("0")
    tracemalloc.start()
    try:
        for number in range(1, 6):
            function(str(number))
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most > GIGANTIC, "the texts were never in memory"
    assert kept < GIGANTIC / 2
