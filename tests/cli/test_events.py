"""`audit-gateway events`, over HTTP and in this process, on a terminal and in a pipe."""

import csv
import io
import json
import os
import re
import signal
from pathlib import Path

import pytest
from rich.cells import cell_len

from app.api.exports.csv import neutral
from app.providers.registry import find_providers
from tests.cli.served import World, call, run_on_terminal, strip_colours
from tests.process import run, start


def test_all_events_as_ndjson_equal_those_of_the_api(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    truth = cli_world.walk(since="2000-01-01")
    ended = run("events", "--all", "--json", "--since", "2000-01-01", "--until", cli_world.until, env=env, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [json.loads(line) for line in ended.stdout.splitlines()] == truth
    assert len(truth) > 1000, "several pages"


def test_limit_order_and_filters_are_those_of_the_api(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    flags = ["--type", "recipient.*", "--type", "envelope.created", "--since", "2000-01-01", "--until", cli_world.until]
    truth = cli_world.walk(type=["recipient.*", "envelope.created"], since="2000-01-01", order="asc", include="raw")
    # 1,203 events take two pages.
    for limit in (3, min(1203, len(truth))):
        more_flags = ["--order", "asc", "--limit", str(limit), "--include", "raw", "--json"]
        ended = call("events", *flags, *more_flags, env=env, cwd=tmp_path)
        assert [json.loads(line) for line in ended.stdout.splitlines()] == truth[:limit], ended.stderr
    envelope = truth[0]["envelope"]["id"]
    for flag in ("--envelope-id", "--envelope_id"):
        ended = call("events", flag, envelope, "--json", env=env, cwd=tmp_path)
        assert {json.loads(line)["envelope"]["id"] for line in ended.stdout.splitlines()} == {envelope}


def test_a_piped_table_is_complete_and_plain(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    truth = cli_world.walk()[:50]
    ended = call("events", "--until", cli_world.until, env={**env, "TERM": "xterm-256color"}, cwd=tmp_path)
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr, len(lines)) == (0, "", 51)
    assert "\x1b" not in ended.stdout
    for event, line in zip(truth, lines[1:], strict=True):
        assert line.startswith(event["occurred_at"][:19].replace("T", " "))
        assert event["source"] in line
        assert event["type"] in line
        if event["envelope"]:
            assert (event["envelope"]["name"] or event["envelope"]["id"]) in line
        if event["recipient"]:
            assert (event["recipient"]["name"] or event["recipient"]["email"] or event["recipient"]["id"]) in line


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ([], ["no event matches; --since widens the period, which is 30 days by default"]),
        # A search by envelope has no default period.
        (["--envelope-id", "nope"], ["no event matches"]),
        (
            ["--type", "recipient.sigend", "--envelope-id", "c0ffee00-0000-4000-8000-000000000000"],
            ["--type recipient.sigend is not a known type; did you mean recipient.signed?", "no event matches"],
        ),
    ],
)
def test_an_empty_result_is_explained(cli_world: World, tmp_path: Path, arguments: list[str], texts: list[str]) -> None:
    no_match = ("--actor", "nobody@example.com")
    code, output = run_on_terminal("events", *arguments, *no_match, env=cli_world.over_http, cwd=tmp_path, columns=200)
    lines = [line.removeprefix("audit-gateway: ").rstrip(".") for line in output.splitlines()]
    assert (code, lines[-len(texts) :]) == (0, texts)


@pytest.mark.parametrize("columns", [40, 80])
def test_the_table_fits_the_terminal(cli_world: World, tmp_path: Path, columns: int) -> None:
    arguments = ("events", "--limit", "30", "--until", cli_world.until)
    code, output = run_on_terminal(*arguments, env=cli_world.over_http, cwd=tmp_path, columns=columns)
    rows = [line for line in strip_colours(output).splitlines() if not line.startswith("audit-gateway: ")]
    assert code == 0
    assert "\x1b[" in output
    assert max(map(cell_len, rows)) <= columns
    assert len([row for row in rows if re.match(r"\d\d-\d\d \d\d", row)]) == 30
    if columns >= 80:
        assert [event["type"] for event in cli_world.walk()[:30]] == [
            row.split()[3] for row in rows if re.match(r"\d\d-\d\d \d\d", row)
        ]
    _, plain = run_on_terminal(*arguments, env={**cli_world.over_http, "NO_COLOR": "1"}, cwd=tmp_path, columns=columns)
    assert plain == strip_colours(output)


def test_csv_equals_that_of_the_api(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    truth = cli_world.walk()[:70]
    ended = call("events", "--csv", "--limit", "70", "--until", cli_world.until, env=env, cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(ended.stdout, newline="")))
    assert ended.stdout.count("\r\n") >= 71
    assert [row["id"] for row in rows] == [neutral(event["id"]) for event in truth]
    assert [row["recipient_phone"] for row in rows] == [
        neutral((event["recipient"] or {}).get("phone") or "") for event in truth
    ]


def test_relative_times_are_accepted(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    ended = call("events", "--since", "3d", "--until", "yesterday", "--all", "--json", env=env, cwd=tmp_path)
    ids = [json.loads(line)["id"] for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, ended.stderr
    assert ids
    assert set(ids) < {event["id"] for event in cli_world.walk()}


@pytest.mark.parametrize(
    ("arguments", "code", "texts"),
    [
        (["--source", "nowhere"], 2, ["--source", "nowhere", "there are"]),
        (["--provider", "nobody"], 2, ["--provider "]),
        (["--type", "a*b"], 2, ["--type", "recipient.*"]),
        (["--actor", ""], 2, ["--actor must not be empty"]),
        (["--envelope-status", "odd"], 2, ["--envelope-status must be one of completed"]),
        (["--since", "someday"], 2, ["--since 'someday' is no time; write 7d"]),
        (["--since", "today", "--until", "yesterday"], 2, ["--since must be earlier than until"]),
        (["--json", "--csv"], 2, ["--json and --csv"]),
        (["--all", "--limit", "3"], 2, ["--all and --limit"]),
        (["--follow", "--until", "1d"], 2, ["--follow cannot go with --until"]),
        (["--follow", "--since", "1d", "--until", "2d"], 2, ["--follow cannot go with --until"]),
        (["--follow", "--order", "desc"], 2, ["--follow needs order=asc"]),
        (["--include", "everything"], 2, ["--include must be raw"]),
        (["--include", "raw", "--include", "total"], 2, ["--include must be raw", "audit-gateway count"]),
    ],
)
def test_an_invalid_flag_prints_one_sentence(
    env: dict[str, str], tmp_path: Path, arguments: list[str], code: int, texts: list[str]
) -> None:
    ended = call("events", *arguments, env=env, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("audit-gateway: ")
    for part in texts:
        assert part in line


def test_an_invalid_setting_prints_one_sentence_without_a_key(cli_world: World, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, str], int, str]] = [
        ({}, 2, "GATEWAY_URL and GATEWAY_KEY"),
        ({"GATEWAY_URL": cli_world.url}, 2, "GATEWAY_KEY is not set"),
        ({"GATEWAY_URL": cli_world.url, "GATEWAY_KEY": "hunter2"}, 2, "does not accept the key"),
        ({"GATEWAY_URL": cli_world.url, "GATEWAY_KEY": "hunter2\nhunter2"}, 2, "GATEWAY_KEY is no API key"),
        ({"GATEWAY_URL": "ftp://hunter2", "GATEWAY_KEY": "hunter2"}, 2, "GATEWAY_URL is no address"),
        ({"GATEWAY_URL": f"{cli_world.url}/nowhere", "GATEWAY_KEY": "hunter2"}, 2, "is no audit gateway"),
        ({"GATEWAY_URL": "http://user:hunter2@127.0.0.1:9"}, 1, "audit-gateway serve"),
    ]
    for settings, code, texts in cases:
        ended = call("events", env=settings, cwd=tmp_path)
        (line,) = ended.stderr.splitlines()
        assert (ended.returncode, ended.stdout) == (code, ""), line
        assert texts in line
        assert "hunter2" not in line


def test_settings_from_dot_env_and_from_a_toml_file(cli_world: World, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in cli_world.over_http.items()))
    more_flags = ("events", "--json", "--limit", "5", "--until", cli_world.until)
    # A client ignores the settings of the server.
    over_http = call(*more_flags, env={"GATEWAY_DEADLINE": "nonsense"}, cwd=tmp_path)
    assert len(over_http.stdout.splitlines()) == 5, over_http.stderr
    (tmp_path / "gateway.toml").write_text("[gateway]\ndeadline = 20\n")
    # --config takes precedence over the GATEWAY_URL in .env.
    in_process = call(*more_flags, "--config", "gateway.toml", env=cli_world.in_process, cwd=tmp_path)
    assert in_process.stdout == over_http.stdout, in_process.stderr
    without = call(*more_flags, "--config", "gateway.toml", env={}, cwd=tmp_path)
    assert (without.returncode, without.stdout) == (2, "")
    assert "No source is configured" in without.stderr


def test_without_settings_both_configurations_are_named(tmp_path: Path) -> None:
    more_flags = call("events", env={}, cwd=tmp_path)
    assert more_flags.returncode == 2
    assert "No source is configured" in more_flags.stderr
    assert "GATEWAY_URL and GATEWAY_KEY" in more_flags.stderr
    # The required variables, without those that have a default.
    (listed,) = re.findall(r"variables \((.*)\),", more_flags.stderr)
    variables = dict(provider.split(": ") for provider in listed.split("; "))
    assert list(variables) == [provider.title for provider in find_providers().values()]
    assert variables["Taktikal"] == "TAKTIKAL_COMPANY_KEY and TAKTIKAL_API_KEY"
    assert variables["Subnoto"] == "SUBNOTO_ACCESS_KEY and SUBNOTO_SECRET_KEY"
    # A named file must configure the sources.
    (tmp_path / "gateway.toml").write_text("")
    assert "GATEWAY_URL" not in call("events", "--config", "gateway.toml", env={}, cwd=tmp_path).stderr


def test_a_failed_source_ends_the_command_without_partial(cli_world: World, tmp_path: Path) -> None:
    unreachable = {**cli_world.in_process, "SUBNOTO_BASE_URL": "http://127.0.0.1:9"}
    refused = call("events", "--json", env=unreachable, cwd=tmp_path)
    (line,) = refused.stderr.splitlines()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "source subnoto: " in line
    assert "--partial" in line
    partial = call("events", "--json", "--partial", "--limit", "9", env=unreachable, cwd=tmp_path)
    assert partial.returncode == 1
    assert {json.loads(line)["source"] for line in partial.stdout.splitlines()} == {"taktikal"}
    assert "source subnoto failed" in partial.stderr


def test_partial_ends_when_only_a_failed_source_has_more(cli_world: World, tmp_path: Path) -> None:
    unreachable = {**cli_world.in_process, "TAKTIKAL_BASE_URL": "http://127.0.0.1:9"}
    window = ("--since", "2000-01-01", "--until", cli_world.until, "--partial")
    remaining = [event["id"] for event in cli_world.walk(since="2000-01-01", source="subnoto")]
    for command in (("events", "--all", "--json"), ("export", "-", "--order", "desc")):
        ended = call(*command, *window, env=unreachable, cwd=tmp_path)
        assert ended.returncode == 1
        assert [json.loads(line)["id"] for line in ended.stdout.splitlines()] == remaining
        missing, advice = ended.stderr.splitlines()
        assert missing.startswith("audit-gateway: source taktikal failed: ")
        assert re.match(
            r"audit-gateway: no other source has more: source taktikal: .*; try again in \d+ s, or ", advice
        )


def test_follow_prints_events_and_waits_until_ctrl_c(env: dict[str, str], tmp_path: Path) -> None:
    ended = call("events", "--follow", "--since", "20d", "--limit", "7", "--json", env=env, cwd=tmp_path)
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert (ended.returncode, len(events)) == (0, 7)
    assert [event["occurred_at"] for event in events] == sorted(event["occurred_at"] for event in events)
    process = start("events", "--follow", "--since", "2d", env=env, cwd=tmp_path)
    assert b"time (UTC)" in process.stdout.readline()
    assert b"Z " in process.stdout.readline(), "each event is flushed"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")


ALL = ("events", "--all", "--since", "60d")


@pytest.mark.parametrize("arguments", [ALL, (*ALL, "--json"), ("sources",)])
def test_a_closed_pipe_is_no_error(cli_world: World, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    process = start(*arguments, env=cli_world.over_http, cwd=tmp_path, stdout=writing)
    os.close(writing)
    if arguments[0] == "events":
        os.read(reading, 100)
    os.close(reading)  # before a short output begins
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")


def test_one_event_and_a_wide_table(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    event = cli_world.walk()[0]
    window = call("event", event["id"], "--json", env=env, cwd=tmp_path)
    assert json.loads(window.stdout) == event
    output = call("event", event["id"], env=env, cwd=tmp_path).stdout
    assert json.loads(output) == event
    assert f'\n  "id": "{event["id"]}",\n' in output
    unknown = call("event", "nope", env=env, cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no event with this id" in unknown.stderr.lower()
    ended = call("events", "--wide", "--limit", "9", "--until", cli_world.until, env=env, cwd=tmp_path)
    for expected, line in zip(cli_world.walk()[:9], ended.stdout.splitlines()[1:], strict=True):
        assert line.split()[-1] == expected["id"]
        assert expected["provider_type"] in line


@pytest.mark.parametrize("command", ["events", "event", "count", "export", "sources", "serve", "forward"])
def test_help_fits_80_columns(tmp_path: Path, command: str) -> None:
    output = call(command, "--help", env={"COLUMNS": "80"}, cwd=tmp_path)
    assert output.returncode == 0
    assert max(map(len, output.stdout.splitlines())) <= 80
