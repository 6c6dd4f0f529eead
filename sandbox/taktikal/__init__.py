"""An emulator of Taktikal's activity log, from the vendor's documents; it shares no code with the adapter.

emulator = Emulator(EmulatorOptions(events=500, logs="trimmed"), clock=clock)
with serve(emulator.app) as base_url:
    ...
    assert emulator.calls.refused == []
"""

from .application import Emulator, make_sandbox
from .history import History
from .options import EmulatorOptions
from .records import Entry, Process

__all__ = ["Emulator", "EmulatorOptions", "Entry", "History", "Process", "make_sandbox"]
