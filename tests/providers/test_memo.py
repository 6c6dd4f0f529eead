"""What is remembered of texts that a provider chose: bounded in number, and in size."""

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


def judged_of(texts: list[str], most: int) -> list[str]:
    """The texts that were really judged when each of `texts` was asked for in turn."""
    judged: list[str] = []
    memory = memoize(lambda text: judged.append(text) or len(text), most)  # type: ignore[func-returns-value]
    assert [memory(text) for text in texts] == [len(text) for text in texts]
    return judged


def test_a_text_is_judged_once_unless_it_is_long_or_too_many_came_since() -> None:
    assert judged_of(["phone", "name", "phone", "name"], most=2) == ["phone", "name"]
    longest, longer = "x" * LONGEST, "x" * (LONGEST + 1)
    assert judged_of([longest, longer, longest, longer], most=10) == [longest, longer, longer]
    many = [str(number) for number in range(1000)]
    assert len(judged_of(many + many, most=10)) >= 2000 - 10, "no more are kept than may be"


class GiantRecord(MemoryRecord):
    """A record whose provider gave a member a gigantic name."""

    def event(self) -> Any:
        event = super().event()
        event.data = {f"{'x' * GIGANTIC}{self.number}": {f"{'y' * GIGANTIC}{self.number}": "text"}}
        return event


def seen(number: str) -> None:
    Redactor(private=False).event(GiantRecord("acme", int(number)))
    Redactor(private=True).event(GiantRecord("acme", int(number)))


PSEUDONYMS = Pseudonyms("s" * 32)
TAKES_A_TEXT: dict[str, Callable[[str], object]] = {
    "private names": lambda number: is_private_name("x" * GIGANTIC + number),
    "identity names": lambda number: is_person_name("x" * GIGANTIC + number),
    "statuses": lambda number: meaning_of("x" * GIGANTIC + number),
    "pseudonyms": lambda number: PSEUDONYMS.of("x" * GIGANTIC + number),
    "members of events": seen,
}


@pytest.mark.parametrize("judge", TAKES_A_TEXT.values(), ids=TAKES_A_TEXT.keys())
def test_nothing_gigantic_stays_in_memory(judge: Callable[[str], object]) -> None:
    judge("0")
    tracemalloc.start()
    try:
        for number in range(1, 6):
            judge(str(number))
        gc.collect()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most > GIGANTIC, "the texts were never there"
    assert kept < GIGANTIC / 2
