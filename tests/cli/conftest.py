"""One gateway for all tests of the terminal client, which only read from it."""

from collections.abc import Iterator

import pytest

from tests.cli.served import World, serve_world


@pytest.fixture(scope="session")
def cli_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve_world(tmp_path_factory.mktemp("gateway")) as world:
        yield world


@pytest.fixture(params=["over_http", "in_process"])
def env(request: pytest.FixtureRequest, cli_world: World) -> dict[str, str]:
    """The environment of a command that queries the gateway, and of one that reads the accounts directly."""
    return dict(getattr(cli_world, request.param))
