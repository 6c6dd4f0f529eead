"""gzip for answers that are made while they are sent."""

from __future__ import annotations

import zlib

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 5  #: half the time of zlib's own default for a few hundredths more


class Gzip:
    """One gzip stream. `flush` after each part: who reads has all of it then, not when a buffer happens to be full."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)

    def add(self, data: bytes) -> bytes:
        """What is to be sent of `data` now; may be empty."""
        return self._stream.compress(data)

    def flush(self) -> bytes:
        """The rest of what was added."""
        return self._stream.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        """The end of the stream, without which it counts as cut off."""
        return self._stream.flush(zlib.Z_FINISH)


def accepts_gzip(header: str) -> bool:
    """Whether a caller's Accept-Encoding names gzip (or any) and does not refuse it with `q=0`."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameter = part.partition(";")
        key, _, value = parameter.strip().partition("=")
        try:
            weights[name.strip()] = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
