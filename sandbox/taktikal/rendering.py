"""The vendor's JSON: members in the page's order, absent if null, in the generation of the options."""

from collections.abc import Iterator
from random import Random
from typing import Any

from .options import EmulatorOptions
from .records import Entry, Process
from .ticks import to_text_as


def log_parts(entries: list[Entry], options: EmulatorOptions, random: Random) -> Iterator[list[Entry]]:
    """Yield the logs of a process's items: one, or two if the options split it."""
    if options.tied_entries == "shuffled":
        entries = sorted(entries, key=lambda entry: (entry.ticks, random.random()))
    half = (len(entries) + 1) // 2
    if options.split_items == "no" or half == len(entries):
        yield entries
    else:
        yield entries[:half]
        yield entries[half:]


def render_process(process: Process, status: str, entries: list[Entry], options: EmulatorOptions) -> dict[str, Any]:
    """Return one array item of `/signing/activity`."""
    current = options.generation == "current"
    return _without_nulls(
        {
            "processKey": process.key,
            "status": status if current else None,
            "activityDisplayName": process.file_name,
            "fileName": process.file_name if current else None,
            "activityLog": [_render_entry(entry, options) for entry in entries],
            "signees": [_without_nulls(dict(signee)) for signee in process.signees],
            "sequenceSignees": [_without_nulls(dict(signee)) for signee in process.sequence_signees],
            "attachmentReferences": [_without_nulls(dict(attachment)) for attachment in process.attachments],
        }
    )


def _render_entry(entry: Entry, options: EmulatorOptions) -> dict[str, Any]:
    members = dict(entry.members)
    return _without_nulls(
        {
            "id": entry.id if options.generation == "current" else None,
            "flowKey": members.pop("flowKey", None),
            "processKey": entry.process_key,
            "signeeKey": members.pop("signeeKey", None),
            "status": entry.status,
            "description": entry.description,
            **members,
            "createdAt": to_text_as(options.dates, entry.ticks),
            "createdBy": entry.created_by,
        }
    )


def in_pascal_case(value: Any) -> Any:
    """Return the value with capitalized member names."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: in_pascal_case(member) for name, member in value.items()}
    if isinstance(value, list):
        return [in_pascal_case(item) for item in value]
    return value


def _without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
