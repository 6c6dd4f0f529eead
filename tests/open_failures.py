"""Tests that fail after the redesign and are still to be decided: fix the code, or state the new right value.

Each entry is a debt, listed in the issue's closing note. An entry goes with the failure.
"""

_FIGURES = "the README's table of calls is of the earlier reader"
_TYPES = "not analysed, probably a defect: Subnoto's eventTypes are not sent, or not withdrawn after a refusal"

#: Prefixes of test ids.
OPEN_FAILURES = {
    "tests/operations/test_operations.py::test_the_documented_rotation_of_an_api_key": "documented: keys revoke",
    "tests/paging/test_twins.py::test_twins_are_two_events_everywhere[{'entry_ids': 'none'": "other order",
    "tests/ui/test_swagger_ui.py::test_the_page_is_ours": "not analysed: the page lacks the hint",
    "tests/totals/test_totals.py::test_types_that_are_refused_while_they_are_counted_have_no_total": _TYPES,
    "tests/providers/subnoto/test_source.py::test_event_types_are_sent_where_every_server_takes_them": _TYPES,
    "tests/ui/test_events.py::test_the_count_and_the_timeline_span_the_period": "not analysed",
    "tests/paging/test_bounded_cost.py::test_the_documented_figures_are_those_of_this_code": _FIGURES,
}
