"""Texts and files that settings name."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from app.domain.errors import ConfigurationError


def split(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated text."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def check_regular(file: Path) -> None:
    """Raises OSError for a device, FIFO or folder, which a reader would read, or wait for, without end."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_regular(file: Path) -> bytes:
    """Return the content of a regular file. Raises OSError."""
    check_regular(file)
    return file.read_bytes()


def read_text(file: Path, name: str, remedy: str = ".") -> str:
    """Return the text of a regular file, without a byte order mark. Raises ConfigurationError with `name`, the setting
    that names the file, and the remedy."""
    try:
        return read_regular(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{name}: {file} cannot be read ({reason}){remedy}") from None


def unquoted(text: str) -> str:
    """Return `text` without surrounding blanks, line ends and one pair of quotes, as `docker --env-file` keeps them."""
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
