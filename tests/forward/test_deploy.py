"""`deploy/forward/`: right by its schemas, and its commands are commands."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from app.cli.main import cli

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "forward" / "compose.yaml"


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "forward" / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("kind", ["compose", "kubernetes"])
def test_the_command_is_one(kind: str) -> None:
    service = yaml.safe_load(COMPOSE.read_text())["services"]["forward"]
    container = manifests()[0]["spec"]["template"]["spec"]["containers"][0]
    words = service["command"] if kind == "compose" else container["args"]
    mounted = service["volumes"][0].split(":")[1] if kind == "compose" else container["volumeMounts"][0]["mountPath"]
    command = get_command(cli).get_command(None, words[0])  # type: ignore[attr-defined]
    given = command.make_context("forward", list(words[1:])).params
    assert given["to"].startswith("https://")
    assert str(given["cursor_file"]).startswith(f"{mounted}/")
    assert given["metrics"] == ":9464"
    assert container["ports"][0]["containerPort"] == 9464


def test_the_policies_name_pods_that_there_are() -> None:
    gateway = next(yaml.safe_load_all((DEPLOY / "kubernetes" / "gateway.yaml").read_text()))
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in (gateway, manifests()[0])]
    selected = [one["spec"]["podSelector"]["matchLabels"] for one in manifests() if one["kind"] == "NetworkPolicy"]
    assert selected == [labels[1], labels[0]]
