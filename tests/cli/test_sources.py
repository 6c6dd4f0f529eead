"""`audit-gateway sources`."""

from __future__ import annotations

import json
import re
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
    blocks = re.split(r"^(?=\S)", text.stdout, flags=re.MULTILINE)[1:]
    for source, block in zip(told, blocks, strict=True):
        assert block.startswith(f"{source['name']} ({source['provider']})\n")
        for name, support in source["filters"].items():
            assert f"    {name}: {support}\n" in block
        assert "  health:\n    circuit: " in block


def test_each_observation_has_a_line(cli_world: Served, tmp_path: Path) -> None:
    cli_world.get("/events")
    assert "    observations:\n      - name=" in call("sources", env=cli_world.over_http, cwd=tmp_path).stdout
