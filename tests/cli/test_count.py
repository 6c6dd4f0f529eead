"""`audit-gateway count` and `audit-gateway sources`."""

import json
from collections import Counter
from pathlib import Path

from tests.cli.served import Served, call


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


def test_exact_counts_and_groups_are_what_a_walk_finds(cli_world: Served, way: dict[str, str], tmp_path: Path) -> None:
    truth = [event for event in cli_world.walk() if not event["type"].startswith("envelope.")]
    flags = ("--until", cli_world.until, "--by", "type", "--not-type", "envelope.*", "--exact")
    ended = call("count", *flags, env=way, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()]
    groups = {line[0]: int(line[1].replace(",", "")) for line in lines[: lines.index([])]}
    assert groups == Counter(event["type"] for event in truth)
    counted = {line[0]: line[1:] for line in lines if len(line) == 3}
    for source, number in Counter(event["source"] for event in truth).items():
        assert counted[source] == [f"{number:,}", "events"]
    assert counted["total"] == [f"{len(truth):,}", "events"]


def test_a_value_that_matches_nothing_is_named(way: dict[str, str], tmp_path: Path) -> None:
    for flag in ("--type", "--not-type"):
        ended = call("count", flag, "recipient.singed", "--since", "1d", env=way, cwd=tmp_path)
        assert ended.returncode == 0
        named = flag.replace("--not-type", "--type.not")
        assert ended.stderr == (
            f"audit-gateway: {named} recipient.singed is not a known type; did you mean recipient.signed?\n"
        )


def test_every_source_with_what_it_filters(cli_world: Served, way: dict[str, str], tmp_path: Path) -> None:
    told = cli_world.get("/sources")["data"]
    answer = json.loads(call("sources", "--json", env=way, cwd=tmp_path).stdout)["data"]
    stable = ("name", "provider", "filters", "settle")
    assert [{name: source[name] for name in stable} for source in answer] == [
        {name: source[name] for name in stable} for source in told
    ]
    text = call("sources", env=way, cwd=tmp_path)
    assert (text.returncode, text.stderr) == (0, "")
    assert "\x1b" not in text.stdout
    heading, *lines = text.stdout.splitlines()
    assert heading.split()[:3] == ["source", "provider", "circuit"]
    assert [line.split()[:3] for line in lines if not line.startswith(" ")] == [
        [source["name"], source["provider"], "closed"] for source in told
    ]
