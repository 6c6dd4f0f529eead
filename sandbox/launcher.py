"""The sandbox: an emulator of every provider on loopback, and the settings for a gateway.

    with start_sandbox(events=4000) as sandbox:
        os.environ.update(sandbox.env)

A provider's emulator is a package `sandbox.<provider>` that exports

    make_sandbox(*, events: int, seed: int, days: int, clock: Clock | None) -> StandIn

The environment variable SANDBOX_PROVIDERS restricts the sandbox to the named providers, separated by commas.
"""

import importlib
import os
import pkgutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Protocol

from starlette.types import ASGIApp

from sandbox.instruments import Clock
from sandbox.serving import serve

PACKAGE = "sandbox"


class StandIn(Protocol):
    """Return value of `make_sandbox`: an application, and the settings of a source that reads it."""

    @property
    def app(self) -> ASGIApp: ...

    def env(self, base_url: str) -> dict[str, str]:
        """The environment variables of a source that reads this emulator, served at `base_url`."""


def find_emulators() -> dict[str, ModuleType]:
    """Return all packages below this one that export `make_sandbox`, by provider name."""
    folder = importlib.import_module(PACKAGE)
    packages = [found.name for found in pkgutil.iter_modules(folder.__path__) if found.ispkg]
    return {name: importlib.import_module(f"{PACKAGE}.{name}") for name in packages}


@dataclass
class Sandbox:
    """Running emulators. `env`: all settings of a gateway; `stand_ins`, `base_urls`: by provider."""

    stand_ins: dict[str, StandIn] = field(default_factory=dict)
    base_urls: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


@contextmanager
def start_sandbox(
    *, events: int = 4000, seed: int = 1, days: int = 60, clock: Clock | None = None
) -> Iterator[Sandbox]:
    """Run an emulator of each provider with `events` events in all, spread over the last `days` days.

    The histories keep growing at the same density. If one emulator fails to start, all are stopped.
    """
    emulators = find_emulators()
    if named := os.environ.get("SANDBOX_PROVIDERS"):
        if unknown := set(named.split(",")) - set(emulators):
            raise SystemExit(
                f"SANDBOX_PROVIDERS: no emulator {', '.join(sorted(unknown))}; one of {', '.join(emulators)}"
            )
        emulators = {name: emulators[name] for name in named.split(",")}
    share, rest = divmod(events, len(emulators))
    sandbox = Sandbox()
    with ExitStack() as running:
        for position, (name, module) in enumerate(emulators.items()):
            size = share + (1 if position < rest else 0)
            stand_in = module.make_sandbox(events=size, seed=seed, days=days, clock=clock)
            url = running.enter_context(serve(stand_in.app))
            sandbox.stand_ins[name], sandbox.base_urls[name] = stand_in, url
            sandbox.env.update(stand_in.env(url))
        yield sandbox
