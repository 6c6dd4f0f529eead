"""Ordering, merging and paging: pure, without clock or I/O, so that tests run thousands of histories."""
