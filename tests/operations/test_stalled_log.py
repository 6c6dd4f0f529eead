"""A log that nothing reads must not stop the service."""

import fcntl
import os
import threading
from pathlib import Path

import httpx

from app.logs import QueuedStream
from tests.process import start

SANDBOX = {"Authorization": "Bearer sandbox"}


def test_a_stalled_reader_costs_lines_and_not_answers(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # ten lines
    try:
        arguments = ("serve", "--sandbox", "--sandbox-events", "20", "--port", "0")
        process = start(*arguments, cwd=tmp_path, stderr=writer, text=True)
        os.close(writer)
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, headers=SANDBOX, timeout=60) as client:
            for _ in range(50):
                assert client.get("/event-types").status_code == 200
        process.terminate()
        assert process.wait(timeout=60) == 0
        process.stdout.close()
    finally:
        os.close(reader)


class Stalled:
    def __init__(self) -> None:
        self.open = threading.Event()
        self.text = ""

    def write(self, text: str) -> int:
        assert self.open.wait(30)
        self.text += text
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


def test_dropped_lines_are_counted_and_reported() -> None:
    target = Stalled()
    stream = QueuedStream(target, capacity=10)  # type: ignore[arg-type]
    for number in range(100):
        stream.write(f"{number}\n")
    target.open.set()
    stream.flush_at_exit()
    dropped = int(target.text.partition('"count":')[2].partition("}")[0])
    assert 89 <= dropped <= 90, "ten waited, and the thread may hold one"
    assert sum(line.isdigit() for line in target.text.splitlines()) == 100 - dropped
