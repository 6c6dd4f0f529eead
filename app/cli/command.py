"""What the installed command runs: Ctrl-C is heeded from before the first of our imports on."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """`app.cli.main.main`."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        # For a quarter of a second Ctrl-C would print where in an import it was, or be lost there.
        signal.signal(signal.SIGINT, _end)
    from app.cli.main import main as run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _end(*_: object) -> None:
    os._exit(130)
