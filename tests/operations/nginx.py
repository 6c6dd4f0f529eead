"""`deploy/nginx.conf` in a real nginx, in front of the application."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.waiting import wait_until

CONFIG = Path(__file__).parents[2] / "deploy" / "nginx.conf"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def nginx(folder: Path, upstream: int, **replaced: str) -> Iterator[tuple[int, int]]:
    """Start nginx and yield its ports, plain and TLS. `replaced`: directives and their replacements, such as shorter
    timeouts."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    plain, secure = free_port(), free_port()
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(folder / "tls.key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    text = CONFIG.read_text(encoding="utf-8")
    changes = {
        "/tmp/": f"{folder}/",  # first, because the folder may be in /tmp
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
        wait_until(lambda: process.poll() is not None or is_open(plain))
        assert process.poll() is None, "nginx refused its configuration"
        yield plain, secure
    finally:
        process.terminate()
        process.wait(timeout=10)
