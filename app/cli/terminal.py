"""Standard output and standard error, and what they are."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from rich.console import Console

# Valid in JSON as they are, and yet obeyed by terminals, taken for line ends by some readers, or no UTF-8.
_ODD = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# All controls but tab and line ends.
_OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _Console(Console):
    """Leaves to `app.cli.failures.reported` what the command ends with when the reader of its output has gone; rich
    itself would end it with 1."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError, which rich is handling when it calls this


def console(*, stderr: bool = False) -> Console:
    """Colour only on a terminal, and not with NO_COLOR. Nothing that is printed is taken for markup."""
    stream: Any = sys.stderr if stderr else sys.stdout
    stream.reconfigure(errors="replace")  # a terminal that lacks a letter must not end the command
    system: Any = None if os.environ.get("NO_COLOR") else "auto"
    return _Console(stderr=stderr, highlight=False, markup=False, emoji=False, color_system=system)


def json_line(value: Any) -> bytes:
    """One line of JSON in UTF-8, with its line end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def write_bytes(data: bytes) -> None:
    """To standard output, at once. On a terminal without the control characters that it would obey."""
    if sys.stdout.isatty():
        data = _OBEYED.sub("\N{MIDDLE DOT}", data.decode(errors="replace")).encode()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
