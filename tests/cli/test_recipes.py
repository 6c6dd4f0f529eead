"""Run every block of `docs/guides/exports.md` against a gateway with a sandbox."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb

from tests.cli.served import World
from tests.process import environment

RECIPES = Path(__file__).parents[2] / "docs" / "guides" / "exports.md"


def blocks(heading: str) -> list[tuple[str, str]]:
    """Return (language, text) of the fenced blocks under a heading; '' is the part before the first."""
    parts = re.split(r"^## (.*)$", RECIPES.read_text(), flags=re.MULTILINE)
    sections = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    (section,) = [
        text for title, text in sections.items() if title.startswith(heading) and bool(title) == bool(heading)
    ]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)


def shell(script: str, variables: Mapping[str, str], cwd: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", "-euc", script],
        env=environment({**variables, "PATH": path}), cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


def test_the_settings_are_those_of_the_sandbox(cli_world: World, tmp_path: Path) -> None:
    ((language, text),) = blocks("")
    assert language == "sh"
    assert {"GATEWAY_URL", "GATEWAY_KEY"} == set(cli_world.over_http)
    assert shell(f"{text}\necho $GATEWAY_URL $GATEWAY_KEY", {}, tmp_path) == "http://127.0.0.1:8000 sandbox\n"


def test_a_cron_job_that_appends(cli_world: World, tmp_path: Path) -> None:
    (_, collect), (kind, crontab), (_, rotate), (_, count) = blocks("Append")
    assert kind == "crontab"
    home, trail = tmp_path / "home", tmp_path / "trail"
    home.mkdir()
    trail.mkdir()
    (home / "collect.sh").write_text(collect)
    (home / "collect.sh").chmod(0o755)
    settings = {**cli_world.over_http, "TRAIL": str(trail)}
    (home / ".audit-gateway").write_text("".join(f"export {name}={shlex.quote(v)}\n" for name, v in settings.items()))
    found = re.fullmatch(r"(\S+ ){5}(.*)\n", crontab)
    assert found is not None
    job = found[2]
    variables = {"HOME": str(home), "TRAIL": str(trail)}

    assert shell(job, variables, tmp_path) == ""
    with (trail / "trail.ndjson").open("a") as file:
        file.write('{"id":"torn')  # as after a kill
    assert shell(job, variables, tmp_path) == ""
    assert len(shell(count, variables, tmp_path).splitlines()) == 5
    shell(rotate, variables, tmp_path)
    assert shell(job, variables, tmp_path) == ""

    ids = [
        json.loads(line)["id"] for file in sorted(trail.glob("trail*.ndjson")) for line in file.read_text().splitlines()
    ]
    assert len(ids) == len(set(ids))
    # The sandbox grows during the test: a few newer events may follow.
    expected = [event["id"] for event in cli_world.walk(since="2026-01-01", order="asc")]
    assert ids[: len(expected)] == expected
    assert len(ids) <= len(expected) + 20


def test_into_duckdb_and_parquet(cli_world: World, tmp_path: Path) -> None:
    (_, export), (_, convert), (_, query) = blocks("Load into DuckDB")
    shell(export, cli_world.over_http, tmp_path)
    shell(convert, {}, tmp_path)
    output = shell(query, {}, tmp_path)
    assert "median_hours" in output
    for source in ("subnoto", "taktikal"):
        assert source in output
    events = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
    with duckdb.connect() as database:
        rows = database.execute(
            "SELECT id, strftime(occurred_at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'), type, envelope_id"
            f" FROM '{tmp_path}/events.parquet'"
        ).fetchall()
    assert sorted(rows) == sorted(
        (event["id"], event["occurred_at"], event["type"], (event["envelope"] or {}).get("id")) for event in events
    )
