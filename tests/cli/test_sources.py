"""`audit-gateway sources`."""

import json
from pathlib import Path

from tests.cli.served import Served, call


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
