"""One world with everything that filters can tell apart, and the truth about it."""

from collections.abc import Iterator

import pytest

from tests.filters.facts import Fact, facts
from tests.filters.filtering import filtering_world
from tests.worlds import World


@pytest.fixture(scope="session")
def mixed() -> Iterator[World]:
    with filtering_world() as world:
        yield world


@pytest.fixture(scope="session")
def known(mixed: World) -> list[Fact]:
    return facts(mixed)
