"""Which values are private, and how links, private values and persons are hidden. Pure: no I/O."""
