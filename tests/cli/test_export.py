"""`audit-gateway export`: each event once, also after kills, interrupts and failures."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import time
from contextlib import closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.api.exports import FORMATS
from app.cli import client as walking
from app.cli.client import Client, LocalTransport
from app.evidence import create_key_file
from sandbox.launcher import start_sandbox
from tests.api.conftest import ALL, make_app
from tests.api.memory import memory_source
from tests.cli.served import DAYS, World, call, run_on_terminal, strip_colours
from tests.process import start

SINCE = ("--since", "2000-01-01")


def ids_in(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def events_in_checkpoint(path: Path) -> int:
    """Return the number of events that the checkpoint records; 0 without one."""
    try:
        return int(json.loads(path.with_name(f"{path.name}.cursor").read_text())["events"])
    except FileNotFoundError:
        return 0


def signal_midway(process: subprocess.Popen[bytes], path: Path, after: int, number: int) -> tuple[int, bytes]:
    """Send the signal once the checkpoint has more than `after` events; return the exit code and the errors."""
    while process.poll() is None and events_in_checkpoint(path) <= after:
        time.sleep(0.005)
    if process.poll() is None:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_a_complete_export_is_overwritten_only_with_force(cli_world: World, tmp_path: Path) -> None:
    env = cli_world.over_http
    flags = (*SINCE, "--until", cli_world.until)
    ended = call("export", "all.ndjson", *flags, env=env, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    expected = cli_world.walk(since="2000-01-01")
    assert [json.loads(line) for line in (tmp_path / "all.ndjson").read_text().splitlines()] == expected
    assert os.listdir(tmp_path) == ["all.ndjson"]
    again = call("export", "all.ndjson", *flags, "--type", "recipient.*", env=env, cwd=tmp_path)
    assert again.returncode == 2
    assert "--force" in again.stderr
    wrong = call("export", "all.ndjson", *flags, "--source", "nowhere", "--force", env=env, cwd=tmp_path)
    assert wrong.returncode == 2
    assert len(ids_in(tmp_path / "all.ndjson")) == len(expected), "a refused command leaves the file as it was"
    forced = call("export", "all.ndjson", *flags, "--type", "recipient.*", "--force", env=env, cwd=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert ids_in(tmp_path / "all.ndjson") == [e["id"] for e in expected if e["type"].startswith("recipient.")]


def test_an_export_killed_repeatedly_has_each_event_once(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    expected = [event["id"] for event in cli_world.walk(since="2000-01-01")]
    path = tmp_path / "all.ndjson"
    command = ("all.ndjson", *SINCE, "--until", cli_world.until)
    kills = 0
    for after in (0, 1000) if "GATEWAY_URL" in env else (0,):
        code, _ = signal_midway(start("export", *command, env=env, cwd=tmp_path), path, after, signal.SIGKILL)
        kills += code == -signal.SIGKILL
        # As after a kill between the writes of the events and of the checkpoint.
        with path.open("ab") as file:
            file.write(b'{"id":"torn')
    assert kills >= 1, "no process was killed midway"
    assert 0 < events_in_checkpoint(path) < len(expected)
    ended = call("export", *command, env=env, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ids_in(path) == expected
    assert os.listdir(tmp_path) == ["all.ndjson"]


def test_an_interrupted_export_resumes_with_the_same_flags_only(cli_world: World, tmp_path: Path) -> None:
    env = cli_world.over_http
    path = tmp_path / "all.csv"
    command = ("all.csv", *SINCE, "--until", cli_world.until)
    code, errors = signal_midway(start("export", *command, env=env, cwd=tmp_path), path, 0, signal.SIGINT)
    assert code == 130
    assert re.match(rb"audit-gateway: stopped after [\d,]+ events; the same command resumes there\.\n\Z", errors)
    for flags in ((*command, "--type", "recipient.*"), (*command, "--format", "ecs"), (*command, "--order", "asc")):
        ended = call("export", *flags, env=env, cwd=tmp_path)
        assert ended.returncode == 2
        assert "begun with other flags" in ended.stderr
    ended = call("export", *command, env=env, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    expected = cli_world.walk(since="2000-01-01")
    assert [row["id"].removeprefix("'") for row in rows] == [event["id"] for event in expected]


def test_an_export_resumes_after_its_gateway_was_unreachable(cli_world: World, tmp_path: Path) -> None:
    path = tmp_path / "all.ndjson"
    command = ("all.ndjson", *SINCE, "--until", cli_world.until)
    signal_midway(start("export", *command, env=cli_world.over_http, cwd=tmp_path), path, 0, signal.SIGINT)
    before = (path.read_bytes(), (tmp_path / "all.ndjson.cursor").read_bytes())
    unreachable = call("export", *command, env={"GATEWAY_URL": "http://127.0.0.1:9"}, cwd=tmp_path)
    assert unreachable.returncode == 1
    assert (path.read_bytes(), (tmp_path / "all.ndjson.cursor").read_bytes()) == before
    # A cursor sealed with the secret of another gateway is refused; the command has its own secret.
    other = call("export", *command, env=cli_world.in_process, cwd=tmp_path)
    assert other.returncode == 2
    assert "GATEWAY_CURSOR_SECRET" in other.stderr
    assert call("export", *command, env=cli_world.over_http, cwd=tmp_path).returncode == 0
    assert ids_in(path) == [event["id"] for event in cli_world.walk(since="2000-01-01")]


def test_a_partial_export_resumes_at_the_failed_source(cli_world: World, tmp_path: Path) -> None:
    env = cli_world.in_process
    command = ("export", "all.ndjson", *SINCE, "--until", cli_world.until, "--partial")
    of_subnoto = [event["id"] for event in cli_world.walk(since="2000-01-01", source="subnoto")]
    ended = call(*command, env={**env, "TAKTIKAL_BASE_URL": "http://127.0.0.1:9"}, cwd=tmp_path)
    assert ended.returncode == 1
    _, advice = ended.stderr.splitlines()
    assert "no other source has more: source taktikal: " in advice
    assert f"the same command resumes behind these {len(of_subnoto):,} events" in advice
    assert ids_in(tmp_path / "all.ndjson") == of_subnoto
    assert call(*command, env=env, cwd=tmp_path).returncode == 0
    of_taktikal = [event["id"] for event in cli_world.walk(since="2000-01-01", source="taktikal")]
    assert ids_in(tmp_path / "all.ndjson") == of_subnoto + of_taktikal


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format_to_standard_output(cli_world: World, tmp_path: Path, form: str) -> None:
    flags = ("--type", "envelope.*", "--until", cli_world.until)
    ended = call("export", "-", *flags, "--format", form, env=cli_world.over_http, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == len(cli_world.walk(type="envelope.*")) + bool(FORMATS[form].header)
    assert os.listdir(tmp_path) == []


def test_an_invalid_command_creates_no_file(env: dict[str, str], tmp_path: Path) -> None:
    for arguments, message in [
        (["x.ndjson", "--source", "nowhere"], "--source "),
        (["x.ndjson", "--format", "xml"], "--format must be one of ndjson"),
        (["x.ndjson", "--since", "someday"], "--since 'someday'"),
        (["x.ndjson", "--include", "total"], "--include must be raw"),
        (["-", "--incremental"], "--incremental needs a file"),
        (["x.ndjson", "--incremental", "--order", "desc"], "appends the oldest first; leave out --order desc"),
        (["x.ndjson", "--incremental", "--until", "now"], "--incremental has no end; leave out"),
        (["/dev/null"], "is not a regular file"),
        (["absent/x.ndjson"], "absent/x.ndjson cannot be written (No such file or directory)"),
    ]:
        ended = call("export", *arguments, env=env, cwd=tmp_path)
        assert ended.returncode == 2
        assert message in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
        assert os.listdir(tmp_path) == []


def test_an_export_without_events_is_an_empty_file(env: dict[str, str], tmp_path: Path) -> None:
    for form, content in (("ndjson", b""), ("csv", FORMATS["csv"].header)):
        ended = call("export", "none", "--format", form, "--actor", "nobody@example.com", env=env, cwd=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert (tmp_path / "none").read_bytes() == content
        assert os.listdir(tmp_path) == ["none"]


def test_progress_on_a_terminal(cli_world: World, tmp_path: Path) -> None:
    flags = (*SINCE, "--until", cli_world.until)
    code, output = run_on_terminal("export", "a", *flags, env=cli_world.over_http, cwd=tmp_path)
    events = cli_world.walk(since="2000-01-01")
    number = len(events)
    assert code == 0
    assert f"{number:,} events to {events[-1]['occurred_at'][:10]}" in strip_colours(output)
    assert f"{number:,} events are in a" in output


def test_an_incremental_export_appends_only_new_events(tmp_path: Path) -> None:
    """The emulators' clock advances by hours between two runs."""
    elapsed = timedelta()
    beginning = datetime.now(UTC) - timedelta(days=10)
    with start_sandbox(events=800, days=DAYS, seed=6, clock=lambda: beginning + elapsed) as sandbox:
        env = dict(sandbox.env)
        command = ("export", "trail.ndjson", "--incremental", *SINCE)
        sizes = []
        for hours in (0, 0, 30, 100):
            elapsed = timedelta(hours=hours)
            ended = call(*command, env=env, cwd=tmp_path)
            assert ended.returncode == 0
            assert all("its Date header is over a minute behind" in line for line in ended.stderr.splitlines())
            sizes.append(len(ids_in(tmp_path / "trail.ndjson")))
        assert sizes[0] == sizes[1] < sizes[2] < sizes[3]
        exported = ids_in(tmp_path / "trail.ndjson")
        # After a rotation, new events are written into a new file.
        (tmp_path / "trail.ndjson").rename(tmp_path / "trail.1.ndjson")
        elapsed = timedelta(hours=200)
        assert call(*command, env=env, cwd=tmp_path).returncode == 0
        exported += ids_in(tmp_path / "trail.ndjson")
        assert len(exported) > sizes[-1]
        settled = format(beginning + elapsed - timedelta(seconds=31), "%Y-%m-%dT%H:%M:%SZ")
        truth_command = ("export", "truth.ndjson", *SINCE, "--until", settled, "--order", "asc")
        assert call(*truth_command, env=env, cwd=tmp_path).returncode == 0
        assert exported == ids_in(tmp_path / "truth.ndjson")


@pytest.mark.parametrize("flags", [[], ["--signed"]])
def test_an_unproven_export_has_its_own_exit_code_also_after_a_resume(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_key_file(tmp_path / "key.pem")
    source = memory_source(150)
    app = make_app([source], signing_key_file=tmp_path / "key.pem")
    monkeypatch.setattr(walking, "MAX_PAGE", 100)
    monkeypatch.setattr(walking, "SEGMENT", 100)

    def read() -> None:
        source.unproven = source.opened == 1
        if source.opened == 2:
            raise KeyboardInterrupt

    source.on_open = read
    with monkeypatch.context() as patched, closing(Client("http://127.0.0.1", ALL, LocalTransport(app))) as client:
        patched.setattr("app.cli.export.connected", lambda *_, **__: nullcontext(client))
        command = ["export", "all.ndjson", *flags, *SINCE]
        interrupted = call(*command, env={}, cwd=tmp_path)
        resumed = call(*command, env={}, cwd=tmp_path)
    assert (interrupted.returncode, resumed.returncode) == (130, 3)
    assert "audit-gateway: events may be missing, because a provider contradicts itself.\n" in resumed.stderr
    lines = map(json.loads, (tmp_path / "all.ndjson").read_text().splitlines())
    assert len({line["id"] for line in lines if "id" in line}) == 150
    assert not (tmp_path / "all.ndjson.cursor").exists()


def test_a_signed_export_verifies_after_many_resumes(
    cli_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = call("keys", "signing", "--file", "key.pem", env={}, cwd=tmp_path)
    (tmp_path / "keys.json").write_text(keys.stdout)
    export = ["export", "all.ndjson", "--signed", *SINCE, "--until", cli_world.until]
    refused = call(*export, env=cli_world.over_http, cwd=tmp_path)
    assert (refused.returncode, "GATEWAY_SIGNING_KEY_FILE" in refused.stderr) == (2, True)
    env = {**cli_world.in_process, "GATEWAY_SIGNING_KEY_FILE": str(tmp_path / "key.pem")}
    segment, truth_command = walking.Client.segment, 0

    def fails_often(client: walking.Client, pairs: walking.Pairs) -> bytes:
        nonlocal truth_command
        truth_command += 1
        if truth_command % 3 == 0:
            raise KeyboardInterrupt
        data = segment(client, pairs)
        if truth_command % 4 == 1:
            last = json.loads(data.splitlines()[-1]) | {"reason": "source_failed", "cursor": "lost"}
            return json.dumps(last).encode() + b"\n"
        return data

    monkeypatch.setattr(walking.Client, "segment", fails_often)
    monkeypatch.setattr(walking, "SEGMENT", 400)
    monkeypatch.setattr(walking, "sleep", lambda seconds: None)
    monkeypatch.setattr(walking, "print_error", lambda notice: None)
    ended = [call(*export, env=env, cwd=tmp_path)]
    while ended[-1].returncode == 130:
        ended.append(call(*export, env=env, cwd=tmp_path))
    assert (ended[-1].stderr, ended[-1].returncode, len(ended) > 2) == ("", 0, True)
    verify = ["verify", "all.ndjson", "--jwks", "keys.json"]
    verified = call(*verify, env={}, cwd=tmp_path)
    expected = [event["id"] for event in cli_world.walk(since="2000-01-01")]
    assert f"{len(expected):,} events in {-(-len(expected) // 400)} signed segments" in verified.stdout
    lines = (tmp_path / "all.ndjson").read_text().splitlines(keepends=True)
    assert [event["id"] for line in lines if "id" in (event := json.loads(line))] == expected
    (tmp_path / "all.ndjson").write_text("".join(lines[:7] + lines[8:]))
    assert "NOT verified" in call(*verify, env={}, cwd=tmp_path).stderr
