"""Emulators of the providers: serving them on loopback, and their shared parts.

`launcher.start_sandbox` starts an emulator of each provider; `serving.serve` runs any ASGI application in a
thread; emulators share `schedule` (deterministic growing histories) and `instruments` (call log, faults,
latency). This package names no vendor: the emulator of a provider is the package `sandbox.<provider>`.
"""

from pkgutil import extend_path

# Emulators of providers outside this repository: packages `sandbox/<provider>` in other directories of `sys.path`.
__path__ = extend_path(__path__, __name__)
