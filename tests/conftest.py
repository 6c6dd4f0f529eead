import os
import signal
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

# The contract suite's modules are not collected, and imported before pytest could rewrite their assertions.
for part in ("account", "events", "planted", "sources", "suite"):
    pytest.register_assert_rewrite(f"tests.contract.{part}")

# A shell that runs pytest in the background ignores SIGINT, which every child would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Every gateway would read its certificates: a whole system's take half a second.
os.environ.pop("SSL_CERT_DIR", None)


# Profiles of the property tests: small and derandomized, so that `make test` is repeatable; large with FUZZ_EXAMPLES=N
# (`make fuzz`).
_UNBOUNDED = {
    "deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}  # fmt: skip

settings.register_profile("small", derandomize=True, max_examples=60, database=None, **_UNBOUNDED)
if number := os.environ.get("FUZZ_EXAMPLES"):
    # The output of a failure contains its blob (`@reproduce_failure`) and the shrunk example.
    settings.register_profile("fuzz", derandomize=False, max_examples=int(number), phases=tuple(Phase), **_UNBOUNDED)
settings.load_profile("fuzz" if number else "small")
if os.environ.get("FUZZ_PLAIN"):
    # Without shrinking: `tests/paging/planted_bugs.py` needs only the result.
    settings.register_profile("plain", settings.default, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("plain")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["asc", "desc"])
def order(request: pytest.FixtureRequest) -> str:
    """Both orders of a query."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def _logging_is_restored() -> Iterator[None]:
    """Undo the level that a command in this process sets, which would hide lines from later tests. A module fixture's
    settings stay for all of its tests."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


#: Slow files, which run first, so that none is left for one worker at the end.
FIRST = ("tests/clients/", "tests/forward/test_killed", "tests/operations/", "tests/paging/test_exactly_once",
         "tests/properties/", "tests/providers/test_guide", "tests/providers/test_optional_calls",
         "tests/ui/")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
