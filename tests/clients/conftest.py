from collections.abc import Iterator

import pytest

from tests.clients.world import Gateway, sandbox_gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with sandbox_gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found
