"""Budgets of the property campaigns: small and derandomized in `make test`, large with FUZZ_EXAMPLES=N."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_CALM = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}

settings.register_profile("small", derandomize=True, max_examples=60, database=None, **_CALM)
if number := os.environ.get("FUZZ_EXAMPLES"):
    # A failure prints its blob (`@reproduce_failure`); the shrunk example is in the output.
    settings.register_profile("fuzz", derandomize=False, max_examples=int(number), phases=tuple(Phase), **_CALM)
settings.load_profile("fuzz" if number else "small")
if os.environ.get("FUZZ_PLAIN"):
    # Only whether there is a failure is of interest: no time is spent on shrinking (`tests/paging/planted_bugs.py`).
    settings.register_profile("plain", settings.default, phases=(Phase.explicit, Phase.generate))
    settings.load_profile("plain")
