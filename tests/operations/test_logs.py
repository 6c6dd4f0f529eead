"""Content, escaping and level of log lines; a log that nothing reads does not stop the service."""

import fcntl
import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog

from app.logs import AUDIT, QueuedStream, configure_logging, describe_exception
from tests.logged import logged
from tests.process import start


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    with logged() as stream:
        yield stream


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_line_is_one_escaped_json_object(stream: io.StringIO) -> None:
    structlog.get_logger().info("event", value="a\nb\x1b[31m\u2028")
    (line,) = lines(stream)
    assert line["value"] == "a\nb\x1b[31m\u2028"
    assert "\x1b" not in stream.getvalue()
    assert "\u2028" not in stream.getvalue()
    assert line["level"] == "info"


def test_an_exception_is_logged_without_its_text(stream: io.StringIO) -> None:
    try:
        try:
            raise ValueError("hunter2")
        except ValueError as error:
            raise RuntimeError("hunter3") from error
    except RuntimeError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("also failed")
    assert "hunter" not in stream.getvalue()
    for line in lines(stream):
        assert line["exception"] == "RuntimeError < ValueError"
        assert any("test_logs.py" in frame for frame in line["frames"])  # type: ignore[attr-defined]


def test_libraries_are_logged_from_warning_on(stream: io.StringIO) -> None:
    logging.getLogger("httpx").info('HTTP Request: GET https://example.com/?q=secret "200 OK"')
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    (line,) = lines(stream)
    assert line["event"] == "Invalid HTTP request received."
    assert line["logger"] == "uvicorn.error"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("configured_by", ["arguments", "variables"])
@pytest.mark.parametrize(
    ("stream", "form", "is_json"),
    [(Terminal, None, False), (Terminal, "auto", False), (Terminal, "json", True), (Terminal, "console", False),
     (io.StringIO, None, True), (io.StringIO, "auto", True), (io.StringIO, "console", False)],
)  # fmt: skip
def test_level_and_format_are_configurable(
    monkeypatch: pytest.MonkeyPatch, configured_by: str, stream: type[io.StringIO], form: str | None, is_json: bool
) -> None:
    """The default format is readable text on a terminal and JSON elsewhere; audit records are logged at any level."""
    levels, target = ("debug", "info", "warning", "error"), stream()
    with logged():  # restores logging
        for number, level in enumerate([None, *levels]):
            if configured_by == "arguments":
                configure_logging(target, level=level, form=form)
            else:
                for name, value in (("GATEWAY_LOG_LEVEL", level), ("GATEWAY_LOG_FORMAT", form)):
                    monkeypatch.setenv(name, value or "")
                configure_logging(target)
            for method in levels:
                getattr(structlog.get_logger(), method)("line")
            logging.getLogger(AUDIT).info("audited")
            written = target.getvalue().splitlines()
            assert sum("line" in line for line in written) == (3 if level is None else 5 - number)
            assert sum("audited" in line for line in written) == 1
            assert all(line.startswith("{") == is_json for line in written)
            target.seek(0)
            target.truncate()


def test_a_suppressed_cause_is_not_described() -> None:
    def fail() -> None:
        try:
            raise ValueError
        except ValueError:
            raise RuntimeError from None

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert describe_exception(caught.value)["exception"] == "RuntimeError"


SANDBOX = {"Authorization": "Bearer sandbox"}


def test_a_stalled_log_reader_delays_no_response(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)  # ten lines
    try:
        arguments = ("serve", "--sandbox", "--sandbox-events", "20", "--port", "0")
        process = start(*arguments, cwd=tmp_path, stderr=writer, text=True)
        os.close(writer)
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
    assert 89 <= dropped <= 90, "ten were queued, and the thread may have one more"
    assert sum(line.isdigit() for line in target.text.splitlines()) == 100 - dropped
