"""Fixtures of several files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.cli import Served, served
from tests.e2e.facts import Fact, facts
from tests.e2e.filtering import filtering_world
from tests.valkey import Valkey, serving_valkey
from tests.worlds import World


@pytest.fixture(scope="session")
def cli_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One gateway for all tests of the terminal client, which only read."""
    with served(tmp_path_factory.mktemp("gateway")) as world:
        yield world


@pytest.fixture(params=["over_http", "in_process"])
def way(request: pytest.FixtureRequest, cli_world: Served) -> dict[str, str]:
    """The variables of either way to the events."""
    return dict(getattr(cli_world, request.param))


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with serving_valkey() as server:
        yield server


@pytest.fixture(scope="module")
def mixed() -> Iterator[World]:
    with filtering_world() as world:
        yield world


@pytest.fixture(scope="module")
def known(mixed: World) -> list[Fact]:
    """The truth about that world."""
    return facts(mixed)
