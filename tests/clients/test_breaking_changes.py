"""A change that breaks generated clients needs an entry under *Breaking* in the changelog. Planted breaks show that the
check finds them; harmless changes raise no alarm.
"""

import copy
import json
import re
from pathlib import Path

from tests.clients.breaking import breaking_changes
from tests.clients.planted import HARMLESS, PLANTED, Json
from tests.clients.tools import DOCUMENT, RELEASED, ROOT

#: What the changes need of the document: all of it takes a second to compare.
PATHS = ("/events", "/events/count", "/events/export", "/event-types", "/health/live")


def test_no_client_of_the_last_release_breaks_unannounced() -> None:
    (broken,) = breaking_changes(RELEASED, DOCUMENT)
    unreleased = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## [Unreleased]", 1)[1]
    announced = re.search(r"^### Breaking\n+- \S", unreleased.split("\n## ", 1)[0], re.MULTILINE)
    lines = "\n  ".join(broken)
    assert announced or not broken, f"no entry under ### Breaking in CHANGELOG.md's [Unreleased] for\n  {lines}"


def test_each_planted_break_is_found_and_nothing_else(tmp_path: Path) -> None:
    document = shortened(json.loads(DOCUMENT.read_text(encoding="utf-8")))
    before = tmp_path / "before.json"
    before.write_text(json.dumps(document), encoding="utf-8")

    def harmless(changed: Json) -> None:
        for change in HARMLESS.values():
            change(changed)

    changes = {**PLANTED, "harmless": harmless}
    after = []
    for name, change in changes.items():
        changed = copy.deepcopy(document)
        change(changed)
        after.append(tmp_path / f"{name}.json")
        after[-1].write_text(json.dumps(changed), encoding="utf-8")
    found = dict(zip(changes, breaking_changes(before, *after), strict=True))
    assert [name for name in PLANTED if not found[name]] == []
    assert found["harmless"] == []


def shortened(document: Json) -> Json:
    document["components"].pop("examples", None)
    document["paths"] = {path: document["paths"][path] for path in PATHS}
    for path, item in document["paths"].items():
        if path != "/events":
            item["get"].pop("parameters", None)
        responses = item["get"]["responses"]
        item["get"]["responses"] = {
            status: responses[status] for status in ("200", "401", "429") if status in responses
        }
        for response in item["get"]["responses"].values():
            for content in response["content"].values():
                content.pop("examples", None)
    return document
