import pytest

# The suite is no test module itself; its assertions are to explain themselves all the same.
for part in ("account", "events", "planted", "sources"):
    pytest.register_assert_rewrite(f"tests.contract.{part}")
