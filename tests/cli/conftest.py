"""One gateway for all tests of the terminal client, which only read."""

from collections.abc import Iterator

import pytest

from tests.cli.served import Served, served


@pytest.fixture(scope="session")
def cli_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("gateway")) as world:
        yield world


@pytest.fixture(params=["over_http", "in_process"])
def way(request: pytest.FixtureRequest, cli_world: Served) -> dict[str, str]:
    """The variables of either way to the events."""
    return dict(getattr(cli_world, request.param))
