import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

# The contract suite's modules are no tests, and others import them first; their assertions are to explain themselves.
for part in ("account", "events", "planted", "sources", "suite"):
    pytest.register_assert_rewrite(f"tests.contract.{part}")

# Where a shell runs this in the background, SIGINT is ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Every gateway reads the certificates that it names: a whole system's take half a second.
os.environ.pop("SSL_CERT_DIR", None)


# Budgets of the property tests: small and derandomized, so that `make test` says the same twice; large with
# FUZZ_EXAMPLES=N (`make fuzz`).
_CALM = {
    "deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}  # fmt: skip

settings.register_profile("small", derandomize=True, max_examples=60, database=None, **_CALM)
if number := os.environ.get("FUZZ_EXAMPLES"):
    # A failure prints its blob (`@reproduce_failure`); the shrunk example is in the output.
    settings.register_profile("fuzz", derandomize=False, max_examples=int(number), phases=tuple(Phase), **_CALM)
settings.load_profile("fuzz" if number else "small")
if os.environ.get("FUZZ_PLAIN"):
    # Only whether there is a failure is of interest: no time is spent on shrinking (`tests/paging/planted_bugs.py`).
    settings.register_profile("plain", settings.default, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("plain")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _logging_is_restored() -> Iterator[None]:
    """A command that runs in this process sets a level of its own, which would hide lines from the tests after it. What
    a fixture of the module has set stays for all of its tests."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


#: Files that take long, one of which would otherwise be left for one worker at the end.
FIRST = ("tests/clients/", "tests/forward/test_killed", "tests/operations/", "tests/paging/test_exactly_once",
         "tests/properties/", "tests/providers/test_guide", "tests/providers/test_optional_calls",
         "tests/ui/")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
