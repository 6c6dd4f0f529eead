"""The variables that settings are made of, read in one way for everything that needs any."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from app.domain.errors import ConfigurationError


def read_environment(env_file: Path | None = Path(".env")) -> dict[str, str]:
    """The environment's variables, and those of `env_file` that are not among them. Names are case-sensitive.

    An empty variable, which compose files make, is one that is not set. Raises ConfigurationError where the file is
    there and cannot be read.
    """
    written: Mapping[str, str | None] = {}
    if env_file is not None and env_file.is_file():
        try:
            written = dotenv_values(env_file, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{env_file} cannot be read ({type(error).__name__}).") from None
    return {name: value for name, value in (*written.items(), *os.environ.items()) if value}
