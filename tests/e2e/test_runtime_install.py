"""The steps of the Dockerfile, run here: what it installs is all that the gateway needs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import environment


def test_the_image_holds_all_that_the_gateway_runs_on(tmp_path: Path) -> None:
    prefix = tmp_path / "gateway"
    done = subprocess.run(
        ["deploy/install-runtime", str(prefix), sys.executable],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode and re.search(r"No matching distribution|connection|resolve", done.stderr, re.IGNORECASE):
        pytest.skip(f"the package index cannot be reached: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    command = str(prefix / "bin" / "audit-gateway")
    document = subprocess.run(
        [command, "openapi"], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert document.stdout == Path("openapi/openapi.json").read_text(encoding="utf-8")
    serving = subprocess.Popen(
        [command, "serve", "--sandbox", "--port", "0"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert serving.stdout.readline().startswith("Audit gateway on http://127.0.0.1:")
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=30)
    assert serving.returncode == 0


def test_the_dockerfile_uses_the_same_script() -> None:
    text = Path("Dockerfile").read_text(encoding="utf-8")
    assert "deploy/install-runtime /opt/gateway" in text
    assert "USER 10001" in text
    assert "HEALTHCHECK" in text
