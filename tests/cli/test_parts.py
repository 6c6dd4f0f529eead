"""Parts of the terminal client that need no gateway, except for its walk (`test_walk.py`)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from app.cli.export import Checkpoint, _write, resumable
from app.cli.failures import Failure, Notices, Problem
from app.cli.flags import FILTERS, to_rfc3339
from app.cli.output import format_of, json_line
from app.cli.queries import EventTable, cells_of
from app.domain.errors import ConfigurationError
from app.domain.parameters import parameter_names
from app.domain.query import EventQuery
from app.domain.times import parse_rfc3339
from app.forward import Page
from tests.cli.served import call
from tests.listening import answering, send


def test_the_flags_are_the_apis_filters() -> None:
    others = {"order", "limit", "cursor", "include", "partial", "follow"}
    assert set(FILTERS.values()) == set(parameter_names(EventQuery)) - others


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.csv", "csv"), ("a.CSV", "csv"), ("a.ndjson", "ndjson"), ("a.jsonl", "ndjson"), ("a", "ndjson"),
     ("a.ocsf", "ocsf"), ("a.ecs.ndjson", "ecs"), ("a.cloudevents.jsonl", "cloudevents"), ("2026.csv.ndjson", "ndjson"),
     ("a.xlsx", None), ("a.json", None), ("a.csv.gz", None)],
)  # fmt: skip
def test_a_suffix_decides_the_format(name: str, form: str | None) -> None:
    if form is not None:
        assert format_of(Path(name)) == form
        return
    with pytest.raises(Failure, match="add --format, or use one of"):
        format_of(Path(name))


def test_unreadable_records_and_values_without_match_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    notices = Notices()
    assert notices.end() == 0
    warning = {"parameter": "type.not", "message": "x is not a known type"}
    unread = "records that cannot be read are left out"
    for reason in (f"2 {unread}", f"log: 1 page is short; 1000 {unread}", "log: 1 page is short", None):
        source = {"name": "a", "status": "ok", "reason": reason}
        notices.page(Page([], True, "c", {}, [source], [warning]))
    assert notices.end() == 3
    assert capsys.readouterr().err.splitlines() == [
        "audit-gateway: --type.not x is not a known type.",
        "audit-gateway: source a: log: 1 page is short.",
        "audit-gateway: source a: 1,002 records that cannot be read are left out; the gateway's log has more.",
    ]
    notices.page(Page([], True, "c", {}, [{"name": "b", "status": "failed", "reason": "down"}]))
    assert notices.end() == 1


def test_unreadable_records_beside_a_refused_part_have_their_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    notices, reason = Notices(), "team: 403; 1 records that cannot be read are left out"
    notices.page(Page([], False, None, {}, [{"name": "a", "status": "forbidden", "reason": reason}]))
    assert notices.end() == 3
    assert capsys.readouterr().err.splitlines() == [
        "audit-gateway: source a forbidden: team: 403; its events are missing here.",
        "audit-gateway: source a: 1 records that cannot be read are left out; the gateway's log has more.",
    ]


def test_a_follower_prints_unreadable_records_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    notices = Notices(None)
    for count in (1, 1, 2):
        reason = f"{count} records that cannot be read are left out"
        notices.page(Page([], False, "c", {}, [{"name": "a", "status": "ok", "reason": reason}]))
    assert capsys.readouterr().err.splitlines() == [
        f"audit-gateway: source a: {count} records that cannot be read are left out." for count in (1, 2)
    ]


def test_a_resumed_export_reports_the_unreadable_records_of_its_first_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def pieces(reason: str | None, cursor: str | None) -> Iterator[tuple[Page, bytes]]:
        yield Page([], cursor is not None, cursor, {}, [{"name": "a", "status": "ok", "reason": reason}]), b"{}\n"
        if cursor is not None:
            raise Problem("source_failed", "down")

    with resumable(tmp_path / "e.ndjson") as file:
        first = pieces("2 records that cannot be read are left out", "c")
        with pytest.raises(Problem):
            _write(first, b"", file, Checkpoint(asked=""), partial=False)
        assert "a: 2 records that cannot be read" in capsys.readouterr().err
        checkpoint = file.checkpoint()
        assert checkpoint is not None
        assert _write(pieces(None, None), b"", file, checkpoint, partial=False) == 3
    assert "a: 2 records that cannot be read" in capsys.readouterr().err


NOW = parse_rfc3339("2026-03-01T12:30:45.250000Z")


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("7d", "2026-02-22T12:30:45.250000Z"), ("2h", "2026-03-01T10:30:45.250000Z"),
        ("30m", "2026-03-01T12:00:45.250000Z"), ("45s", "2026-03-01T12:30:00.250000Z"),
        ("2w", "2026-02-15T12:30:45.250000Z"), ("P7D", "2026-02-22T12:30:45.250000Z"),
        ("PT12H", "2026-03-01T00:30:45.250000Z"), ("now", "2026-03-01T12:30:45.250000Z"), ("today", "2026-03-01"),
        ("Yesterday", "2026-02-28"), ("2026-01-31", "2026-01-31"),
        ("2026-01-31T10:00:00+01:00", "2026-01-31T10:00:00+01:00"),
    ],
)  # fmt: skip
def test_relative_times_are_sent_as_rfc_3339(text: str, sent: str) -> None:
    assert to_rfc3339(text, NOW) == sent
    parse_rfc3339(sent)


@pytest.mark.parametrize(
    "text",
    ["", "d", "7", "7x", "-7d", "0d", "7d later", "3 days ago", "last week", "2026-02-30", "2026-01-31T10:00:00",
     "\u0667d", "1.5h", "7months", "999999999w"],
)  # fmt: skip
def test_invalid_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time; write 7d, 2h"):
        to_rfc3339(text, NOW)


@given(st.integers(18, 400), st.text(max_size=40))
def test_the_table_fits_the_terminal(width: int, text: str) -> None:
    shown = io.StringIO()
    event: dict[str, Any] = {
        "occurred_at": "2026-01-01T00:00:00.000000Z", "source": "s", "type": "recipient.identity_verified",
        "outcome": "success", "envelope": {"id": text}, "actor": {"name": text}, "recipient": {"name": text},
    }  # fmt: skip
    EventTable(Console(file=shown, width=width), cut=True).add([event])
    assert max(map(cell_len, shown.getvalue().splitlines())) <= width
    assert width < 60 or " recipient.identity_verified " in shown.getvalue()


def test_control_characters_are_not_printed() -> None:
    event: dict[str, Any] = {
        "occurred_at": "2026-01-01T00:00:00.000000Z", "source": "s", "type": "unknown", "provider_type": "\x1b[2J",
        "envelope": {"id": "e", "name": "[bold]\x9b31m\n"}, "actor": {"kind": "system", "name": "\u202egnp"},
        "recipient": None,
    }  # fmt: skip
    assert cells_of(event)[2:] == ("unknown (·[2J)", "[bold]·31m·", "·gnp", "-")
    line = json_line({"a": "\x1b\x7f\x9b\u2028\ud800é"})
    assert line == b'{"a":"\\u001b\\u007f\\u009b\\u2028\\ud800\xc3\xa9"}\n'
    assert json.loads(line) == {"a": "\x1b\x7f\x9b\u2028\ud800é"}


def test_bytes_after_the_checkpoint_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out"
    saved = Checkpoint(asked="all", cursor="c1", length=4, events=1)
    with resumable(path) as file:
        file.begin(Checkpoint(asked="all"))
        file.add(b"one\n", saved)
    # A kill after the events were written and before the checkpoint was.
    path.write_bytes(b"one\ntwo\nth")
    with resumable(path) as file:
        checkpoint = file.checkpoint()
        assert checkpoint == saved
        assert path.read_bytes() == b"one\ntwo\nth", "reading the checkpoint changes nothing"
        file.begin(checkpoint)
        file.add(b"two\n", Checkpoint(asked="all"))
    assert path.read_bytes() == b"one\ntwo\n"
    assert [found.name for found in tmp_path.iterdir()] == ["out"]


def test_a_source_without_calls_is_listed(tmp_path: Path) -> None:
    source = {"name": "north", "provider": "own", "filters": {"since": "native"}, "settle": 30.0, "health": None}
    body = json.dumps({"data": [source]}).encode()
    with answering(lambda request, _: send(request, body)) as address:
        done = call("sources", env={"GATEWAY_URL": f"http://{address}"}, cwd=tmp_path)
    assert done.stdout.splitlines()[1].split() == ["north", "own", "-", "-", "30", "s", "since"], done.stderr


def test_a_piped_list_of_sources_has_one_line_each(tmp_path: Path) -> None:
    filters = dict.fromkeys((f"a_rather_long_filter_{number}" for number in range(9)), "native")
    source = {"name": "north" * 20, "provider": "own", "filters": filters, "settle": 30.0, "health": None}
    body = json.dumps({"data": [source]}).encode()
    with answering(lambda request, _: send(request, body)) as address:
        done = call("sources", env={"GATEWAY_URL": f"http://{address}"}, cwd=tmp_path)
    _, line = done.stdout.splitlines()
    assert source["name"] in line
    assert line.rstrip().endswith("a_rather_long_filter_8")


def test_a_closed_standard_error_fails_no_command(tmp_path: Path) -> None:
    (tmp_path / "keys.jsonl").touch()
    command = f"{sys.executable} -m app.cli.main keys list --file keys.jsonl 2>&-"
    env = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parents[2])}
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["name", "state", "scopes", "sources", "rate", "hash"])


def test_a_command_without_end_has_no_flag_for_it(tmp_path: Path) -> None:
    shown = " ".join(call("forward", "--help", env={}, cwd=tmp_path).stdout.split())
    assert "--until" not in shown
    assert "an RFC 3339 time; UTC. Default: now." in shown
    shown = " ".join(call("events", "--help", env={}, cwd=tmp_path).stdout.split())
    assert "--until TIME" in shown
    assert "Default: 30 days ago, or now with --follow." in shown


def test_a_second_export_into_one_file_is_refused(tmp_path: Path) -> None:
    with (
        resumable(tmp_path / "out"),
        pytest.raises(Failure, match="another export") as caught,
        resumable(tmp_path / "out"),
    ):
        pass
    assert caught.value.code == 1, "not a wrong flag"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"version":1,"length":"4","asked":"all"}', '{"version":2,"asked":""}']
)
def test_an_invalid_checkpoint_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "out.cursor").write_text(text)
    with resumable(tmp_path / "out") as file, pytest.raises(ConfigurationError, match="--force"):
        file.checkpoint()
