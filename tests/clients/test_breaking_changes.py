"""A change that breaks generated clients needs an entry under *Breaking* in the changelog. And the check can see:
planted breaks are found, each of them, and harmless changes raise no alarm.
"""

from __future__ import annotations

import copy
import json
import re

import pytest

from tests.clients.breaking import breaking_changes
from tests.clients.planted import HARMLESS, PLANTED, Json
from tests.clients.tools import DOCUMENT, RELEASED, ROOT

CHANGES = PLANTED | HARMLESS

#: What the changes need of the document: all of it takes a second to compare.
PATHS = ("/events", "/events/count", "/events/{event_id}", "/events/export", "/event-types", "/health/live")
STATUSES = ("200", "401", "429")


def announces_a_break(changelog: str) -> bool:
    """Whether the part about what is not released yet has an entry under Breaking."""
    unreleased = changelog.split("\n## [Unreleased]", 1)[1].split("\n## ", 1)[0]
    return re.search(r"^### Breaking\n+- \S", unreleased, re.MULTILINE) is not None


def test_no_client_of_the_last_release_breaks_unannounced() -> None:
    (broken,) = breaking_changes(RELEASED, DOCUMENT)
    announced = announces_a_break((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    lines = "\n  ".join(broken)
    assert announced or not broken, f"no entry under ### Breaking in CHANGELOG.md's [Unreleased] for\n  {lines}"


@pytest.mark.parametrize(
    ("changelog", "announced"),
    [
        ("# C\n\n## [Unreleased]\n\n### Breaking\n\n- `q` is gone.\n\n## [1.0.0]\n", True),
        ("# C\n\n## [Unreleased]\n\n### Added\n\n- More.\n\n### Breaking\n- `q` is gone.\n", True),
        ("# C\n\n## [Unreleased]\n\n### Breaking\n\n### Added\n\n- More.\n", False),
        ("# C\n\n## [Unreleased]\n\n### Added\n\n- More.\n\n## [1.0.0]\n\n### Breaking\n\n- `q` is gone.\n", False),
    ],
    ids=["entry", "entry-last", "empty", "of-an-older-release"],
)
def test_what_counts_as_announced(changelog: str, announced: bool) -> None:
    assert announces_a_break(changelog) is announced


@pytest.fixture(scope="module")
def breaks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is found of every change, by its name: all compared at once, for each start of Node.js takes its time."""
    folder = tmp_path_factory.mktemp("documents")
    before = folder / "before.json"
    document = shortened(json.loads(DOCUMENT.read_text(encoding="utf-8")))
    before.write_text(json.dumps(document), encoding="utf-8")
    after = []
    for name, change in CHANGES.items():
        changed = copy.deepcopy(document)
        change(changed)
        after.append(folder / f"{name}.json")
        after[-1].write_text(json.dumps(changed), encoding="utf-8")
    return dict(zip(CHANGES, breaking_changes(before, *after), strict=True))


def shortened(document: Json) -> Json:
    document["components"].pop("examples")
    document["paths"] = {path: document["paths"][path] for path in PATHS}
    for item in document["paths"].values():
        for operation in item.values():
            responses = operation["responses"]
            operation["responses"] = {status: responses[status] for status in STATUSES if status in responses}
            for response in operation["responses"].values():
                for content in response["content"].values():
                    content.pop("examples", None)
    return document


@pytest.mark.parametrize("name", PLANTED)
def test_a_break_is_found(name: str, breaks: dict[str, list[str]]) -> None:
    assert breaks[name]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_breaks_nothing_raises_no_alarm(name: str, breaks: dict[str, list[str]]) -> None:
    assert breaks[name] == []
