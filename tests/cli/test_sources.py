"""`audit-gateway sources`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.served import Served, call, on_a_terminal, without_colours


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
    blocks = text.stdout.split("\n\n")
    for source, block in zip(told, blocks, strict=True):
        assert block.startswith(f"{source['name']} ({source['provider']})\n")
        for label, support in {
            "filters there": "native",
            "filtered here": "gateway",
            "no such filter": "not_applicable",
        }.items():
            (line,) = [line for line in block.splitlines() if line.strip().startswith(label)]
            names = [name for name, how in source["filters"].items() if how == support]
            assert line.split(label)[1].strip() == ", ".join(names)
        assert "observed" in block


def test_it_fits_the_terminal(cli_world: Served, tmp_path: Path) -> None:
    cli_world.get("/events")  # so that something is learnt
    code, shown = on_a_terminal("sources", env=cli_world.over_http, cwd=tmp_path)
    assert code == 0
    assert max(map(len, without_colours(shown).splitlines())) <= 80
    assert "(from " in shown
