"""Run the commands and procedures of `docs/operations.md`."""

import json
import os
import re
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from app.config import Settings
from app.feed.model import FeedSettings
from app.feed.service import Feed
from sandbox.subnoto import EmulatorOptions
from tests.process import COMMAND, environment, serving
from tests.worlds import SECRET, World, ask, walk, world

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", OPERATIONS, flags=re.MULTILINE | re.DOTALL)


def replica(one: World, value: str) -> Feed:
    """Return a replica with this GATEWAY_CURSOR_SECRET."""
    feed = one.gateway()
    secrets = Settings(cursor_secret=value).cursor_secrets
    found = Feed(list(feed.sources.values()), FeedSettings(secrets, clock=lambda: one.now))
    one.feeds.append(found)
    return found


async def test_the_documented_rotation_of_the_cursor_secret_loses_no_cursor() -> None:
    steps = re.findall(r"^\d\. `GATEWAY_CURSOR_SECRET=([A-Z,]+)`", OPERATIONS, flags=re.MULTILINE)
    assert steps == ["OLD,NEW", "NEW,OLD", "NEW"]
    values = [step.replace("OLD", SECRET).replace("NEW", SECRET[::-1]) for step in ("OLD", *steps)]
    async with world(subnoto=EmulatorOptions(events=300)) as one:
        replicas = [replica(one, value) for value in values]
        expected = (await walk(replicas[0], since="2001-01-01", limits=100)).ids
        assert len(expected) == 300
        # During the rollout of a step, replicas with the old and the new setting alternate. Before the last step, no
        # cursor of the old secret is in use.
        for before, after in pairwise(replicas):
            for order in ([before, after], [after, before]):
                assert (await walk(order, since="2001-01-01", limits=17)).ids == expected
        # A cursor from before the first step is valid until the last step.
        resting = (await ask(replicas[0], since="2001-01-01", limit=50)).next_cursor
        for feed in replicas[:-1]:
            assert (await ask(feed, cursor=resting)).records


@pytest.fixture
def gateway_command() -> tuple[str, ...]:
    """`audit-gateway` with `keys` mounted read-only at `seen`, as in the container, if this user may mount."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return (COMMAND,)
    mount = "mount --bind keys seen && mount -o remount,ro,bind seen"
    return ("unshare", "--mount", "sh", "-euc", f'{mount}; exec "{COMMAND}" "$@"', "sh")


def test_the_documented_rotation_of_an_api_key(tmp_path: Path, gateway_command: tuple[str, ...]) -> None:
    (commands,) = [text for text in blocks() if "keys new" in text]
    first, second = commands.strip().splitlines()
    header = (ROOT / "deploy" / "compose.yaml").read_text()
    (folder,) = re.findall(r"^#   (mkdir .*)$", header, re.MULTILINE)
    (begin,) = re.findall(r"^#     (keys new .*)$", header, re.MULTILINE)
    (readable,) = re.findall(r"^#   (chmod .*?)(?: {2,}#.*)?$", header, re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def shell(command: str) -> str:
        done = subprocess.run(
            ["sh", "-euc", command], cwd=tmp_path, env=environment({"PATH": path}), capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    shell(folder)
    old = shell(f"audit-gateway {begin.replace('/keys/', 'keys/')}")
    (tmp_path / "tls" / "tls.key").touch()
    shell(readable)
    (tmp_path / "seen").mkdir()
    mounted = "keys" if gateway_command == (COMMAND,) else "seen"
    settings = {"GATEWAY_API_KEYS_FILE": f"{mounted}/keys.jsonl", "GATEWAY_CURSOR_SECRET": SECRET}
    with serving("--sandbox", "--sandbox-events", "20", cwd=tmp_path, env=settings, command=gateway_command) as gateway:

        def status(key: str) -> int:
            return httpx.get(f"{gateway.url}/events", headers={"Authorization": f"Bearer {key}"}).status_code

        assert status(old) == 200
        new = shell(first)
        assert (status(new), status(old)) == (200, 200)
        shell(second)
        for _ in range(200):
            if status(old) == 401:
                break
        assert (status(new), status(old)) == (200, 401)
        third = shell(first.replace("siem-2", "siem-3"))
        assert (status(third), status(new), status(old)) == (200, 200, 401)
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("keys", "keys/keys.jsonl")]
        assert modes == [0o755, 0o644], "the container's user can still read it"
        scrape = httpx.get(f"{gateway.url}/metrics", headers={"Authorization": "Bearer sandbox"}).text
        assert 'gateway_requests_total{method="GET",route="/events",status="401"}' in scrape
    # The audit trail, with the documented filter.
    (filter_,) = [text for text in blocks() if text.startswith("grep")]
    shell(filter_.replace("gateway.log", "stderr.log"))
    trail = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert {"siem", "siem-2"} <= {line["caller"] for line in trail}
    assert {line["outcome"] for line in trail} >= {"allowed", "denied"}


def test_the_documented_secret_is_long_enough() -> None:
    (command,) = [text for text in blocks() if text.startswith("openssl")]
    secret = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, check=True).stdout.strip()
    assert Settings(cursor_secret=secret).cursor_secrets == (secret,)
