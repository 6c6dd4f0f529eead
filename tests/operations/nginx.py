"""`deploy/nginx.conf` in a real nginx, in front of the application."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[2] / "deploy" / "nginx.conf"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def nginx(folder: Path, upstream: int, **replaced: str) -> Iterator[tuple[int, int]]:
    """The ports of nginx, plain and TLS. `replaced`: directives with other values, such as shorter times."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("nginx is not installed and cannot be: apt-get install nginx-light")
    plain, secure = free_port(), free_port()
    certificate = ["-keyout", "tls.key", "-out", "tls.crt", "-days", "1", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", *certificate], cwd=folder, check=True, capture_output=True
    )
    text = CONFIG.read_text(encoding="utf-8")
    changes = {
        "/tmp/": f"{folder}/",  # first: the folder may itself be in it
        "gateway:8000": f"127.0.0.1:{upstream}",
        "listen 8080": f"listen 127.0.0.1:{plain}",
        "listen 8443": f"listen 127.0.0.1:{secure}",
        "/etc/nginx/tls/": f"{folder}/",
        "/dev/stdout": f"{folder}/access.log",
        "/dev/stderr": f"{folder}/error.log",
        "worker_processes auto": "worker_processes 1",
        **replaced,
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-g", "daemon off;"], cwd=folder)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", plain), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "nginx refused its configuration"
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield plain, secure
    finally:
        process.terminate()
        process.wait(timeout=10)
