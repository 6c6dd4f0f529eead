"""`audit-gateway count` and `audit-gateway sources`."""

import json
from collections import Counter
from pathlib import Path

from tests.cli.served import World, call


def test_a_count_as_a_table_and_as_json(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    flags = ("--since", "2000-01-01", "--until", cli_world.until)
    expected = cli_world.get("/events/count", since="2000-01-01", until=cli_world.until)
    count = json.loads(call("count", "--json", *flags, env=env, cwd=tmp_path).stdout)
    for body in (expected, count):
        for source in body["sources"]:
            del source["as_of"], source["cached"]
    assert count == expected
    table = call("count", *flags, env=env, cwd=tmp_path).stdout
    assert table.splitlines()[-1].split() == ["total", f"{expected['value']:,}", "events"]
    assert {source["provider_total"]["unit"] for source in expected["sources"]} == {"events", "envelopes"}
    unknown = call("count", *flags, "--actor", "nobody@example.com", env=env, cwd=tmp_path).stdout
    assert unknown.splitlines()[-1].split() == ["total", "0", "events"]


def test_exact_counts_and_groups_equal_those_of_a_walk(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    matching = [event for event in cli_world.walk() if not event["type"].startswith("envelope.")]
    flags = ("--until", cli_world.until, "--by", "type", "--not-type", "envelope.*", "--exact")
    ended = call("count", *flags, env=env, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    groups = {line[0]: int(line[1].replace(",", "")) for line in lines[: lines.index([])]}
    assert groups == Counter(event["type"] for event in matching)
    counted = {line[0]: line[1:] for line in lines if len(line) == 3}
    for source, number in Counter(event["source"] for event in matching).items():
        assert counted[source] == [f"{number:,}", "events"]
    assert counted["total"] == [f"{len(matching):,}", "events"]


def test_an_unknown_value_prints_a_warning(env: dict[str, str], tmp_path: Path) -> None:
    for flag in ("--type", "--not-type"):
        ended = call("count", flag, "recipient.singed", "--since", "1d", env=env, cwd=tmp_path)
        assert ended.returncode == 0
        parameter = flag.replace("--not-type", "--type.not")
        assert ended.stderr == (
            f"audit-gateway: {parameter} recipient.singed is not a known type; did you mean recipient.signed?\n"
        )


def test_sources_as_a_table_and_as_json(cli_world: World, env: dict[str, str], tmp_path: Path) -> None:
    expected = cli_world.get("/sources")["data"]
    sources = json.loads(call("sources", "--json", env=env, cwd=tmp_path).stdout)["data"]
    stable = ("name", "provider", "filters", "settle")
    assert [{name: source[name] for name in stable} for source in sources] == [
        {name: source[name] for name in stable} for source in expected
    ]
    text = call("sources", env=env, cwd=tmp_path)
    assert (text.returncode, text.stderr) == (0, "")
    assert "\x1b" not in text.stdout
    heading, *lines = text.stdout.splitlines()
    assert heading.split()[:3] == ["source", "provider", "circuit"]
    assert [line.split()[:3] for line in lines if not line.startswith(" ")] == [
        [source["name"], source["provider"], "closed"] for source in expected
    ]
