"""`audit-gateway count`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.cli.served import Served, call


def test_exact_is_what_a_walk_finds(cli_world: Served, way: dict[str, str], tmp_path: Path) -> None:
    truth = cli_world.walk(type="recipient.*", since="2000-01-01")
    flags = ("--type", "recipient.*", "--since", "2000-01-01", "--until", cli_world.until)
    table = call("count", *flags, "--exact", env=way, cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    counted = {line.split()[0]: line.split()[1:] for line in table.stdout.splitlines()}
    for source in ("subnoto", "taktikal"):
        number = sum(event["source"] == source for event in truth)
        assert counted[source] == [f"{number:,}", "events"]
    assert counted["total"] == [f"{len(truth):,}", "events"]


def test_a_count_in_words_and_as_json(cli_world: Served, way: dict[str, str], tmp_path: Path) -> None:
    flags = ("--since", "2000-01-01", "--until", cli_world.until)
    told = cli_world.get("/events/count", since="2000-01-01", until=cli_world.until)
    answer = json.loads(call("count", "--json", *flags, env=way, cwd=tmp_path).stdout)
    for body in (told, answer):
        for source in body["sources"]:
            del source["as_of"], source["cached"]
    assert answer == told
    table = call("count", *flags, env=way, cwd=tmp_path).stdout
    assert table.splitlines()[-1].split() == ["total", f"{told['value']:,}", "events"]
    assert {source["provider_total"]["unit"] for source in told["sources"]} == {"events", "envelopes"}
    unknown = call("count", *flags, "--actor", "nobody@example.com", env=way, cwd=tmp_path).stdout
    assert unknown.splitlines()[-1].split() == ["total", "0", "events"]


def test_groups(cli_world: Served, way: dict[str, str], tmp_path: Path) -> None:
    truth = cli_world.walk(since="2000-01-01")
    flags = ("--since", "2000-01-01", "--until", cli_world.until, "--by", "type", "--not-type", "envelope.*", "--exact")
    lines = call("count", *flags, env=way, cwd=tmp_path).stdout.splitlines()
    groups = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in lines[: lines.index("")]}
    assert groups == Counter(event["type"] for event in truth if not event["type"].startswith("envelope."))


def test_a_value_that_matches_nothing_is_named(way: dict[str, str], tmp_path: Path) -> None:
    for flag in ("--type", "--type.not", "--not-type"):
        ended = call("count", flag, "recipient.singed", env=way, cwd=tmp_path)
        assert ended.returncode == 0
        named = flag.replace("--not-type", "--type.not")
        assert ended.stderr == (
            f"audit-gateway: {named} recipient.singed is not a known type; did you mean recipient.signed?\n"
        )


def test_a_wrong_filter(way: dict[str, str], tmp_path: Path) -> None:
    ended = call("count", "--provider", "nobody", env=way, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("audit-gateway: --provider ")
