"""Numbered fixtures: responses of a vendor, and the expected events of each."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from app.domain.event import Record
from tests.contract.account import leaves as named_leaves

FOLDER = Path(__file__).parent


def names(provider: str) -> list[str]:
    found = sorted(path.stem for path in (FOLDER / provider / "fixtures").glob("[0-9][0-9]_*.json"))
    return [name for name in found if not name.endswith(".expected")]


def body(provider: str, name: str) -> bytes:
    return (FOLDER / provider / "fixtures" / f"{name}.json").read_bytes()


def expected(provider: str, name: str) -> Any:
    return json.loads((FOLDER / provider / "fixtures" / f"{name}.expected.json").read_bytes())


def normalized(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(record.event())))
    return found


def leaves(value: Any) -> Iterator[Any]:
    """Yield every value that is neither object, array nor null."""
    return (leaf for _, leaf in named_leaves(value) if leaf is not None)
