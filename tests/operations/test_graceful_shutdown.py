"""SIGTERM fails readiness, then refuses new calls, completes those in flight and ends with exit code 0."""

import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from sandbox.subnoto import EmulatorOptions
from tests.process import run, serving
from tests.waiting import wait_until
from tests.worlds import served_world


def until_status(url: str, status: int) -> None:
    wait_until(lambda: httpx.get(url, timeout=60).status_code == status)


def until_all_workers_serve(url: str) -> None:
    """Wait for all workers: the kernel spreads connections over their listeners, also over those that still start."""
    for _ in range(20):
        until_status(f"{url}/health/ready", 200)


def is_refused(url: str) -> bool:
    try:
        httpx.get(url, timeout=1)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass  # accepted just before
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_readiness_fails_first_and_requests_complete(tmp_path: Path, workers: str) -> None:
    with served_world(None, EmulatorOptions(events=20)) as world:
        settings = {**world.env, "GATEWAY_AUTH": "off", "GATEWAY_SHUTDOWN_GRACE": "1.5"}
        with serving("--workers", workers, cwd=tmp_path, env=settings) as gateway, ThreadPoolExecutor(2) as pool:
            until_all_workers_serve(gateway.url)
            world.subnoto.faults.hang(4)
            slow = pool.submit(httpx.get, f"{gateway.url}/events?since=2001-01-01", timeout=30)
            wait_until(world.calls)
            gateway.process.send_signal(signal.SIGTERM)
            until_status(f"{gateway.url}/health/ready", 503)
            assert httpx.get(f"{gateway.url}/health/live").status_code == 200
            assert httpx.get(f"{gateway.url}/event-types").status_code == 200, "served during the grace period"
            while not is_refused(f"{gateway.url}/health/live"):
                assert not slow.done(), "new connections are refused, not queued"
            response = slow.result()
            assert gateway.process.wait(timeout=30) == 0
            gateway.code = 0
        assert response.status_code == 200
        assert len(response.json()["data"]) == 20
        assert "Traceback" not in gateway.errors.read_text()
        assert "Cancel" not in gateway.errors.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_is_ignored_and_a_second_sigterm_stops_at_once(tmp_path: Path, workers: str) -> None:
    arguments = ("--sandbox", "--sandbox-events", "20", "--workers", workers)
    with serving(*arguments, cwd=tmp_path, env={"GATEWAY_SHUTDOWN_GRACE": "600"}) as gateway:
        until_all_workers_serve(gateway.url)
        before = children(gateway.process.pid)
        for pid in (gateway.process.pid, *before):
            os.kill(pid, signal.SIGHUP)
        time.sleep(0.3)
        assert children(gateway.process.pid) == before
        assert httpx.get(f"{gateway.url}/health/ready").status_code == 200
        gateway.process.send_signal(signal.SIGTERM)
        until_status(f"{gateway.url}/health/ready", 503)
        gateway.stop(signal.SIGTERM)
    assert gateway.code == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_stops_at_once(tmp_path: Path, workers: str) -> None:
    arguments = ("--sandbox", "--sandbox-events", "20", "--workers", workers)
    with serving(*arguments, cwd=tmp_path, env={"GATEWAY_SHUTDOWN_GRACE": "600"}) as gateway:
        gateway.stop(signal.SIGINT)
    gateway.assert_clean_end()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{gateway.url}/health/live")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_streams_end_with_a_comment(tmp_path: Path, number: signal.Signals) -> None:
    with serving("--sandbox", "--sandbox-events", "50", cwd=tmp_path, env={"GATEWAY_SHUTDOWN_GRACE": "0.1"}) as gateway:
        url = f"{gateway.url}/events/stream?since=2020-01-01"
        with httpx.stream("GET", url, headers={"Authorization": "Bearer sandbox"}, timeout=60) as response:
            lines = response.iter_lines()
            while not next(lines).startswith("data: "):
                pass
            gateway.process.send_signal(number)
            assert ": the gateway is stopping" in list(lines)
        gateway.code = gateway.process.wait(timeout=20)
    gateway.assert_clean_end()


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with serving("--sandbox", "--sandbox-events", "20", "--workers", "2", cwd=tmp_path) as gateway:
        until_all_workers_serve(gateway.url)
        workers = children(gateway.process.pid)
        assert len(workers) >= 2
        gateway.process.kill()
        gateway.code = gateway.process.wait()
        wait_until(lambda: not any(is_running(pid) for pid in workers))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not spread connections over listeners")
def test_connections_that_arrive_together_are_spread_over_the_workers(tmp_path: Path) -> None:
    with serving("--sandbox", "--sandbox-events", "20", "--workers", "2", cwd=tmp_path) as gateway:
        until_all_workers_serve(gateway.url)
        address = urlsplit(gateway.url)
        workers = children(gateway.process.pid)
        with ExitStack() as stack:
            for _ in range(64):
                stack.enter_context(socket.create_connection((address.hostname, address.port)))
            # The helper process of `multiprocessing` is among the children and accepts none.
            wait_until(lambda: sum(accepted(pid, address.port) for pid in workers) == 64)
            counts = sorted(accepted(pid, address.port) for pid in workers)
        assert counts[-2] > 8
        second = run("serve", "--sandbox", "--workers", "2", "--port", str(address.port), cwd=tmp_path)
        assert second.returncode == 2
        assert "is in use" in second.stderr


def accepted(pid: int, port: int) -> int:
    """Return the number of established connections of a process to its own port, from /proc."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    count = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += os.readlink(file).removeprefix("socket:[").removesuffix("]") in inodes
    return count


def is_running(pid: int) -> bool:
    """Return False also for a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(parent: int) -> set[int]:
    """Return the direct children of a process, from /proc."""
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    return {int(pid) for file in listed for pid in file.read_text().split()}
