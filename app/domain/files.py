"""Files that an operator names in settings."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from app.domain.errors import ConfigurationError

#: Bytes; more is no configuration, key or secret.
_MOST = 10_000_000


def check_regular(file: Path) -> None:
    """Raises OSError for a device, FIFO or folder, which a reader would read, or wait for, without end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_small(file: Path) -> bytes:
    """Return the content of a regular file of at most 10 MB. Raises OSError."""
    check_regular(file)
    with file.open("rb") as stream:
        content = stream.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(errno.EFBIG, f"more than {_MOST // 1_000_000} MB")
    return content


def read_text(file: Path, name: str, remedy: str = ".") -> str:
    """Return the text of such a file, without a byte order mark. Raises ConfigurationError with `name`, the setting
    that names the file, and the remedy."""
    try:
        return read_small(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{name}: {file} cannot be read ({reason}){remedy}") from None
