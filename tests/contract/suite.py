"""The conformance suite for providers, to be inherited by a provider's tests.

    class TestAcme(ContractSuite):
        provider = PROVIDER
        make_sandbox = staticmethod(make_sandbox)

`tests/contract/test_providers.py` runs it for every provider of the registry with an emulator `sandbox.<provider>`. A
provider outside of this repository can run it in its own tests.
"""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from app.providers.base import Provider
from tests.contract.account import Account, MakeSandbox, served_account
from tests.contract.events import EventContract
from tests.contract.planted import PlantedFaults
from tests.contract.sources import SourceContract


class ContractSuite(SourceContract, EventContract, PlantedFaults):
    """Subclasses set `provider` and the `make_sandbox` of its emulator."""

    pytestmark: ClassVar = [pytest.mark.anyio]
    provider: ClassVar[Provider]
    make_sandbox: ClassVar[Callable[..., Any]]

    @pytest.fixture(scope="class")
    @classmethod
    def tested(cls) -> tuple[Provider, MakeSandbox]:
        return cls.provider, cls.make_sandbox

    @pytest.fixture(scope="class")
    @classmethod
    def account(cls, tested: tuple[Provider, MakeSandbox]) -> Iterator[Account]:
        with served_account(*tested, events=400, days=40) as found:
            yield found

    @pytest.fixture(scope="class")
    @classmethod
    def small_account(cls, tested: tuple[Provider, MakeSandbox]) -> Iterator[Account]:
        with served_account(*tested, events=120, days=12) as found:
            yield found
