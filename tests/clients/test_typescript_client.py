"""`clients/typescript`, compiled strictly and run against a sandbox gateway with faults."""

import json
import shutil
from pathlib import Path

from tests.clients.tools import DOCUMENT, HERE, NODE_MODULES, ROOT, call, node, npm_tool
from tests.clients.world import Gateway, faulty, later_gateway


def test_every_event_once_through_faults_and_a_restart(gateway: Gateway, tmp_path: Path) -> None:
    package = tmp_path / "package"
    ignored = shutil.ignore_patterns("node_modules", "dist", "schema.ts")
    shutil.copytree(ROOT / "clients" / "typescript", package, ignore=ignored)
    shutil.copy(HERE / "drivers" / "client.ts", package / "src")
    (package / "node_modules").symlink_to(NODE_MODULES)
    call(npm_tool("openapi-typescript"), str(DOCUMENT), "--output", "src/schema.ts", cwd=package)
    call(npm_tool("tsc"), "--skipLibCheck", cwd=package)  # of libraries, not of the client

    faults = (None, "reset", "503", None, "cut", gateway.restart, "429", "504")
    with faulty(gateway, *faults) as proxy, later_gateway(gateway) as later:
        urls = {"PROXY_URL": proxy.url, "LATER_URL": later.url, "SINCE": gateway.since, "UNTIL": gateway.until}
        found = json.loads(call(node(), "dist/client.js", cwd=package, env={**gateway.env(), **urls}))

    assert found["walked"] == gateway.ids
    assert found["filtered"] == gateway.filtered_ids
    assert found["begun"][:100] + found["resumed"] == gateway.ids
    assert found["followed"][: len(gateway.ids)] == gateway.ids[::-1]
    assert found["count"] == len(gateway.ids)
    assert found["one"] == [gateway.ids[7], "object"]
    expected = [[401, "unauthenticated", None], [422, "invalid_window", "since"], [None, None, None]]
    assert found["refused"] == expected
    assert found["later"] == [["vault.sealed", "robot", "pending"]]
