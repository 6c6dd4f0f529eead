"""An emulator of Subnoto's log API, written from the vendor's documents; it shares no code with the adapter.

emulator = Emulator(EmulatorOptions(events=500, ties="shuffled"), clock=clock)
with serve(emulator.app) as base_url:
    ...
    assert emulator.calls.refused == []
"""

from .application import Emulator, make_sandbox
from .history import History, Record
from .options import EmulatorOptions

__all__ = ["Emulator", "EmulatorOptions", "History", "Record", "make_sandbox"]
