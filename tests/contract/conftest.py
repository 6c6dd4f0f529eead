from collections.abc import Iterator

import pytest

from tests.contract.providers import Account, providers_with_emulators, served_account


@pytest.fixture(scope="module", params=sorted(providers_with_emulators()))
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    with served_account(request.param) as found:
        yield found
