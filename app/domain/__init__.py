"""Plain values and errors that everything else stands on: no I/O, no framework."""
