"""The sandbox: an emulator of every provider on loopback, and the settings that lead a gateway there.

    with start_sandbox(events=4000) as sandbox:
        os.environ.update(sandbox.env)

A provider takes part by having a package `sandbox.<provider>` that exports

    make_sandbox(*, events: int, seed: int, days: int, clock: Clock | None) -> StandIn

"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Protocol, runtime_checkable

from starlette.types import ASGIApp

from sandbox.instruments import Clock, Instrumented
from sandbox.serving import serve

PACKAGE = "sandbox"
DEFAULT_EVENTS = 4000
DEFAULT_DAYS = 60
LOG_LENGTH = 1000  #: calls, of each emulator


@runtime_checkable
class StandIn(Protocol):
    """What `make_sandbox` returns: an application, and how to point a gateway at it."""

    @property
    def app(self) -> ASGIApp:
        """The emulator, to be served."""

    def env(self, base_url: str) -> dict[str, str]:
        """The environment variables of a source that reads this emulator, served at `base_url`."""


def find_emulators(packages: Iterable[str | ModuleType] | None = None) -> dict[str, ModuleType]:
    """The emulator packages by provider name: `packages`, or every package in this one that exports `make_sandbox`.

    Raises TypeError for one of `packages` that exports none.
    """
    if packages is None:
        folder = importlib.import_module(PACKAGE)
        packages = [f"{PACKAGE}.{found.name}" for found in pkgutil.iter_modules(folder.__path__) if found.ispkg]
    emulators: dict[str, ModuleType] = {}
    for package in packages:
        module = importlib.import_module(package) if isinstance(package, str) else package
        if not callable(getattr(module, "make_sandbox", None)):
            raise TypeError(f"{module.__name__} exports no make_sandbox(...)")
        emulators[module.__name__.rpartition(".")[2]] = module
    return emulators


@dataclass
class Sandbox:
    """Running emulators. `env`: every setting that a gateway needs; `stand_ins`, `base_urls`: by provider."""

    stand_ins: dict[str, StandIn]
    base_urls: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)


@contextmanager
def start_sandbox(
    *,
    events: int = DEFAULT_EVENTS,
    seed: int = 1,
    days: int = DEFAULT_DAYS,
    packages: Iterable[str | ModuleType] | None = None,
    clock: Clock | None = None,
) -> Iterator[Sandbox]:
    """Run an emulator of each provider with `events` events in all, spread over the last `days` days.

    The histories go on growing at the same density. If one emulator does not come up, none stays.
    """
    emulators = find_emulators(packages)
    if not emulators:
        raise LookupError("no provider has an emulator")
    share, rest = divmod(events, len(emulators))
    sandbox = Sandbox({})
    for position, (name, module) in enumerate(emulators.items()):
        size = share + (1 if position < rest else 0)
        stand_in = module.make_sandbox(events=size, seed=seed, days=days, clock=clock)
        if not isinstance(stand_in, StandIn):
            raise TypeError(f"{module.__name__}.make_sandbox returned no app and env(base_url)")
        if isinstance(stand_in.app, Instrumented):
            # It may run for weeks without a reader of the log: what tests keep would be 200 MB.
            stand_in.app.calls.keep(LOG_LENGTH)
        sandbox.stand_ins[name] = stand_in
    with ExitStack() as running:
        for name, stand_in in sandbox.stand_ins.items():
            sandbox.base_urls[name] = running.enter_context(serve(stand_in.app))
            sandbox.env.update(stand_in.env(sandbox.base_urls[name]))
        yield sandbox
