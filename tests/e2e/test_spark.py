"""`examples/spark/` with a real local Spark, in the environment that `make spark` makes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from sandbox.subnoto import EmulatorOptions as SubnotoOptions
from sandbox.taktikal import EmulatorOptions as TaktikalOptions
from tests.e2e.process import environment, serving
from tests.worlds import Clock, World, served_world

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "spark"
PYTHON = ROOT / ".venv-spark" / "bin" / "python"
KEY = "agw_canary-of-the-spark-test-0000000000000"

pytestmark = [
    pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-spark: make spark"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java 17, and there is none"),
]


class RealClock(Clock):
    def __call__(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[World, str]]:
    """Both providers, on the real clock, behind a gateway that holds young events back for two seconds."""
    with served_world(TaktikalOptions(events=400), SubnotoOptions(events=500, twins=0.1), RealClock()) as world:
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        env = {**world.env, "GATEWAY_API_KEYS": f"spark:{digest}:events:read+pii:read", "GATEWAY_SETTLE": "2"}
        with serving(cwd=tmp_path, env=env) as running:
            yield world, running.url


def exported(url: str, **parameters: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{url}/events/export", params=parameters, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    *events, last = [json.loads(line) for line in answer.text.splitlines()]
    assert last["complete"] is True
    return events


@contextmanager
def spark(script: str, *arguments: str, cwd: Path, key: str | None = KEY) -> Iterator[subprocess.Popen[str]]:
    """An example, run as a process group of its own, of which nothing is left at the end."""
    variables = {"GATEWAY_KEY": key} if key else {}
    process = subprocess.Popen(
        [str(PYTHON), str(EXAMPLES / script), *arguments],
        cwd=cwd,
        env=environment({**variables, "SPARK_LOCAL_IP": "127.0.0.1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


def rows(files: str, columns: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        return database.execute(f"SELECT {columns} FROM read_parquet('{files}', filename = true)").fetchall()


def finished_batches(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("batch=*/_SUCCESS"))


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not what():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def forget(checkpoint: Path, number: int) -> None:
    """What a crash would have left that came before this batch was committed."""
    for folder, oldest in (("commits", number), ("offsets", number + 1)):
        for path in (checkpoint / folder).iterdir():
            if int(path.name.strip(".").partition(".")[0]) >= oldest:
                path.unlink()


@contextmanager
def growing(world: World) -> Iterator[Callable[[], None]]:
    """Both histories grow, by turns, until the given function is called."""
    assert world.taktikal is not None
    assert world.subnoto is not None
    enough = threading.Event()

    def grow() -> None:
        for number in itertools.count():
            if enough.wait(0.05):
                return
            if number % 2:
                world.taktikal.history.append(f"spspark{number % 7}", "SigneeSigned")
            else:
                world.subnoto.history.append("ENVELOPE_OPENED", event_data={"number": number})

    thread = threading.Thread(target=grow)
    thread.start()

    def stop() -> None:
        enough.set()
        thread.join()

    try:
        yield stop
    finally:
        stop()


def test_a_batch_holds_each_event_in_one_partition(gateway: tuple[World, str], tmp_path: Path) -> None:
    _, url = gateway
    until = datetime.now(UTC) - timedelta(minutes=1)
    window = {"since": (until - timedelta(days=50)).isoformat(), "until": until.isoformat()}
    expected = exported(url, **window)
    out = tmp_path / "events"
    arguments = [url, str(out), "--since", window["since"], "--until", window["until"], "--partitions", "5"]
    with spark("to_parquet.py", *arguments, "--explain", cwd=tmp_path) as process:
        told, _ = process.communicate(timeout=200)
    assert process.returncode == 0, told
    assert "Physical Plan" in told
    assert KEY not in told

    members = "id, occurred_at, type, source, envelope.id, recipient.email, actor.kind, data, filename"
    found = rows(f"{out}/*.parquet", members)
    assert len(found) == len(expected) > 500
    by_id = {event["id"]: event for event in expected}
    assert {row[0] for row in found} == set(by_id)
    for event_id, moment, kind, source, envelope, email, actor, data, _ in found:
        event = by_id[event_id]
        assert moment.astimezone(UTC) == datetime.fromisoformat(event["occurred_at"])
        assert (kind, source) == (event["type"], event["source"])
        assert envelope == (event["envelope"] or {}).get("id")
        assert email == (event["recipient"] or {}).get("email")
        assert actor == event["actor"]["kind"]
        assert json.loads(data) == event["data"]
    # One file a task: their windows do not overlap.
    spans = sorted(
        (min(row[1] for row in found if row[-1] == file), max(row[1] for row in found if row[-1] == file))
        for file in {row[-1] for row in found}
    )
    assert len(spans) == 5
    assert all(earlier[1] < later[0] for earlier, later in itertools.pairwise(spans))


def test_a_stream_that_is_killed_goes_on_without_loss_or_double(gateway: tuple[World, str], tmp_path: Path) -> None:
    world, url = gateway
    since = (datetime.now(UTC) - timedelta(days=61)).isoformat()
    folder = tmp_path / "events"
    arguments = [url, str(folder), "--since", since, "--batch", "150"]
    with growing(world) as stop_growing:
        with spark("follow.py", *arguments, cwd=tmp_path) as process:
            wait_for(lambda: len(finished_batches(folder)) >= 4, process)
        # As if it had died a moment earlier: the last batch is written, and Spark does not know it.
        number = max(int(path.name) for path in (folder / "checkpoint" / "commits").glob("[0-9]*"))
        forget(folder / "checkpoint", number)
        again = folder / f"batch={number}"
        first_time = sorted(rows(f"{again}/*.parquet", "id"))
        shutil.rmtree(again)
        with spark("follow.py", *arguments, "--idle", "6", cwd=tmp_path) as process:
            wait_for(lambda: len(finished_batches(folder)) >= 6, process)
            stop_growing()
            told, _ = process.communicate(timeout=200)
    assert process.returncode == 0, told
    assert first_time
    assert sorted(rows(f"{again}/*.parquet", "id")) == first_time
    found = [row[0] for row in rows(f"{folder}/batch=*/*.parquet", "id")]
    expected = [event["id"] for event in exported(url, since=since)]
    assert len(found) == len(set(found))
    assert set(found) == set(expected)
    assert len(expected) > 900
    assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()], (
        "the key is in a file"
    )


def test_options_that_would_show_the_key_or_are_wrong(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from audit_events import AuditEvents, FollowReader, WindowReader, SCHEMA\n"
        "from audit_gateway_client import GatewayClient, Secret\n"
        "from pyspark.sql.types import StructType\n"
        "def told(call):\n"
        "    try: call()\n"
        "    except ValueError as error: print(error)\n"
        "    else: print('accepted')\n"
        "url = {'url': 'http://127.0.0.1:1', 'since': '2026-01-01'}\n"
        "told(lambda: AuditEvents({**url, 'key': 'geheim'}))\n"
        "told(lambda: AuditEvents({**url, 'sinc': '2026-01-01'}))\n"
        "told(lambda: AuditEvents({'url': 'http://127.0.0.1:1'}))\n"
        "told(lambda: WindowReader(url, StructType()))\n"
        "import os; os.environ['GATEWAY_KEY'] = 'geheim'\n"
        "told(lambda: WindowReader({**url, 'since': '2026-01-01T00:00:00'}, StructType()))\n"
        "told(lambda: FollowReader({**url, 'until': '2026-01-02'}, StructType()))\n"
        "reader = WindowReader({**url, 'until': '2026-01-01T00:00:00.000003Z', 'type': 'a.b, c.*'}, StructType())\n"
        "print([(part.since[-5:], part.until[-5:]) for part in reader.partitions()], reader.filters)\n"
        "print(vars(reader.client))\n"
    )
    done = subprocess.run(
        [str(PYTHON), "-c", script, str(EXAMPLES)],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    expected = [
        "key is no option", "sinc is no option", "since is needed", "set GATEWAY_KEY", "times need an offset",
        "leave out until",
    ]  # fmt: skip
    assert [part in line for part, line in zip(expected, lines, strict=False)] == [True] * len(expected), lines
    # Three microseconds are three windows, however many were asked for.
    edges = "[('0000Z', '0001Z'), ('0001Z', '0002Z'), ('0002Z', '0003Z')]"
    assert lines[6] == f"{edges} [('type', 'a.b'), ('type', 'c.*')]"
    assert "geheim" not in done.stdout + done.stderr
