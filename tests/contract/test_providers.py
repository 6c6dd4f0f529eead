"""Run the contract suite for each provider with an emulator, and for that of `docs/guides/adding-a-provider.md`."""

import pytest

from app.providers.base import Provider
from tests.contract.account import MakeSandbox, providers_with_emulators
from tests.contract.example import PROVIDER, make_sandbox
from tests.contract.suite import ContractSuite

PROVIDERS = providers_with_emulators()


class TestProviders(ContractSuite):
    @pytest.fixture(scope="class", params=sorted(PROVIDERS))
    @classmethod
    def tested(cls, request: pytest.FixtureRequest) -> tuple[Provider, MakeSandbox]:
        return PROVIDERS[request.param]


class TestExample(ContractSuite):
    provider = PROVIDER
    make_sandbox = staticmethod(make_sandbox)
