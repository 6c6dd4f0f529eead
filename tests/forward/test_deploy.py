"""`deploy/forward/` is valid, and `docs/guides/forward.md` can be followed."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.main import get_command

from app.cli.main import cli
from tests.forward.receivers import SECRET
from tests.operations.nginx import free_port
from tests.process import environment, serving, start
from tests.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "forward" / "compose.yaml"


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "forward" / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("kind", ["compose", "kubernetes"])
def test_the_deployed_command_is_valid(kind: str) -> None:
    service = yaml.safe_load(COMPOSE.read_text())["services"]["forward"]
    container = manifests()[0]["spec"]["template"]["spec"]["containers"][0]
    words = service["command"] if kind == "compose" else container["args"]
    mounted = service["volumes"][0].split(":")[1] if kind == "compose" else container["volumeMounts"][0]["mountPath"]
    command = get_command(cli).get_command(None, words[0])  # type: ignore[attr-defined]
    parameters = command.make_context("forward", list(words[1:])).params
    assert parameters["to"].startswith("https://")
    assert str(parameters["cursor_file"]).startswith(f"{mounted}/")
    assert parameters["metrics"] == ":9464"
    assert container["ports"][0]["containerPort"] == 9464


def test_network_policies_select_existing_pods() -> None:
    gateway = next(yaml.safe_load_all((DEPLOY / "kubernetes" / "gateway.yaml").read_text()))
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in (gateway, manifests()[0])]
    selected = [one["spec"]["podSelector"]["matchLabels"] for one in manifests() if one["kind"] == "NetworkPolicy"]
    assert selected == [labels[1], labels[0]]


def test_the_gateway_is_where_the_forwarder_looks_for_it() -> None:
    pods = [next(yaml.safe_load_all((DEPLOY / "kubernetes" / "gateway.yaml").read_text())), manifests()[0]]
    gateway, forward = (one["spec"]["template"] for one in pods)
    (url,) = (
        httpx.URL(one["value"]) for one in forward["spec"]["containers"][0]["env"] if one["name"] == "GATEWAY_URL"
    )
    texts = [path.read_text() for path in sorted(DEPLOY.rglob("*.yaml")) if path.parent.name != "prometheus"]
    services = [one for text in texts for one in yaml.safe_load_all(text) if one.get("kind") == "Service"]
    (service,) = [one["spec"] for one in services if one["metadata"]["name"] == url.host]
    assert service["selector"].items() <= gateway["metadata"]["labels"].items()
    (target,) = [one["targetPort"] for one in service["ports"] if one["port"] == (url.port or 80)]
    ports = {
        port["name"]: container["name"] for container in gateway["spec"]["containers"] for port in container["ports"]
    }
    assert ports[target] == "gateway", "http, without nginx's certificate"
    (allowed,) = [one["spec"] for one in manifests() if one["metadata"]["name"] == "audit-gateway-from-forward"]
    assert [port["port"] for rule in allowed["ingress"] for port in rule["ports"]] == [target]


def test_the_cursor_file_can_be_written() -> None:
    """A new volume of Docker belongs to root, unless the image has the folder."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["forward"]
    mounted = service["volumes"][0].split(":")[1]
    assert service["user"] == "10001:10001"
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text()
    assert re.search(
        rf"useradd .*--uid 10001 .* gateway \\\n +&& install -d -o gateway -g gateway {mounted}\n", dockerfile
    )


GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "forward.md").read_text()


def test_the_guide_can_be_followed(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    (script,) = re.findall(r"^```python\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
    (command,) = re.findall(r"^audit-gateway (forward --to .*)$", GUIDE, flags=re.MULTILINE)
    command = command.replace("8712", str(port)).replace("9464", str(metrics))
    with serving("--sandbox", cwd=tmp_path) as gateway:
        env = {"GATEWAY_URL": gateway.url, "GATEWAY_KEY": "sandbox", "FORWARD_SECRET": SECRET}
        # Started before its receiver.
        forwarder = start(*command.split(), env=env, cwd=tmp_path)
        receiver = subprocess.Popen(
            [sys.executable, "-c", script.replace("8712", str(port))],
            env=environment(env),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert receiver.stdout is not None
            found = re.fullmatch(r"msg_\w{32} (\d+) events, (\d+) new\n", receiver.stdout.readline())
            assert found is not None
            assert found[1] == found[2]
            url, shown = f"http://127.0.0.1:{metrics}", f" {found[1]}.0"
            wait_until(lambda: shown in httpx.get(url).text)
            metrics_text = httpx.get(url).text
            names = set(re.findall(r"^(gateway_forward_\w+)\{", GUIDE, flags=re.MULTILINE))
            assert names == {
                name for name in re.findall(r"^(\w+)\{", metrics_text, flags=re.MULTILINE) if "_created" not in name
            }
            forwarder.send_signal(signal.SIGTERM)
            _, errors = forwarder.communicate(timeout=30)
            assert forwarder.returncode == 0
            assert b'"event":"forwarding"' in errors
            assert SECRET.encode() not in errors
        finally:
            forwarder.kill()
            receiver.kill()
            receiver.communicate()
