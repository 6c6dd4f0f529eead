"""What is remembered of texts that a provider chose: bounded in number, and in size."""

import gc
import tracemalloc
import weakref
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


class Text(str):
    """A text that can be watched being forgotten."""


def asked(texts: list[Text], most: int) -> tuple[list[str], int]:
    """The texts that were really judged when each of `texts` was asked for in turn, and how many of them were kept."""
    judged: list[str] = []

    def judge(text: str) -> int:
        judged.append(str(text))
        return len(text)

    memory = memoize(judge, most)
    for text in texts:
        assert memory(text) == len(text)
    kept = [weakref.ref(text) for text in texts]
    texts.clear()
    del text
    gc.collect()
    return judged, sum(one() is not None for one in kept)


def test_a_text_is_judged_once() -> None:
    assert asked([Text("phone"), Text("name"), Text("phone"), Text("name")], most=2) == (["phone", "name"], 2)


def test_no_more_are_kept_than_may_be() -> None:
    judged, kept = asked([Text(number) for number in range(1000)], most=10)
    assert len(judged) == 1000
    assert 0 < kept <= 10


def test_a_long_text_is_judged_each_time_and_forgotten() -> None:
    longest, longer = "x" * LONGEST, "x" * (LONGEST + 1)
    judged, kept = asked([Text(longest), Text(longer), Text(longest), Text(longer)], most=10)
    assert judged == [longest, longer, longer]
    assert kept == 1


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
