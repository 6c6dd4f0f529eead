"""A folder without settings, for the tests of the configuration."""

import os
from pathlib import Path

import pytest

from app.config import Configuration, load_configuration


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No setting of the machine that runs the tests, and an empty directory to be in."""
    for name in list(os.environ):
        if name.startswith(("GATEWAY_", "TAKTIKAL_", "SUBNOTO_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load_toml(path: Path, text: str) -> Configuration:
    file = path / "gateway.toml"
    file.write_text(text)
    return load_configuration(file)
