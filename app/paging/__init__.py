"""Ordering, merging, paging: pure, without clock or I/O, so that tests drive it through thousands of histories."""
