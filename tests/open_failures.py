"""Tests that fail after the redesign and are still to be decided: fix the code, or state the new right value.

Each entry is a debt, listed in the issue's closing note. An entry goes with the failure.
"""

#: Prefixes of test ids.
OPEN_FAILURES: dict[str, str] = {}
