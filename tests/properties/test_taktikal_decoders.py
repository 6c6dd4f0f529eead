"""The fast and the lenient decoder of Taktikal's responses return the same events, ids and raw records."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.providers.taktikal.record import records_of
from app.providers.taktikal.wire import ActivityPage, decode_activity

TEXTS = st.sampled_from(
    [
        "", "a", "Created", "SMS:Delivered", "SignupSent", "clerk@example.is", "Taktikal.Core", "Þór 😀",
        "see l1 or https://l2",
    ]
)  # fmt: skip
SIGNEES = st.sampled_from(["si1", "si2", "si3", ""])
SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | TEXTS
TIMES = st.sampled_from(
    ["2024-01-01T00:00:00.0000001Z", "2024-01-01T00:00:00.0000002Z", "2024-01-01T00:00:00Z",
     "2024-01-01T02:00:00+02:00", "2024-02-30T00:00:00.0000000Z", "soon", ""]
)  # fmt: skip


def members(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for objects with any of the members, whose values may be null."""
    return st.fixed_dictionaries({}, optional={name: value | st.none() for name, value in values.items()})


ENTRIES = members(
    id=st.integers(0, 3) | SCALARS, flowKey=TEXTS, processKey=TEXTS, signeeKey=SIGNEES, status=TEXTS, description=TEXTS,
    userAgent=TEXTS, fileName=SCALARS, createdBy=TEXTS, requiresAuth=SCALARS, signInOrder=SCALARS,
    signatureLocation=SCALARS, sequenceKey=TEXTS,
).flatmap(lambda entry: TIMES.map(lambda time: {**entry, "createdAt": time}))  # fmt: skip
PROCESSES = members(
    status=TEXTS, activityDisplayName=TEXTS, fileName=TEXTS,
    activityLog=st.lists(ENTRIES, max_size=5),
    signees=st.lists(members(signeeKey=SIGNEES, ssn=SCALARS, name=TEXTS, email=TEXTS, phone=SCALARS, city=SCALARS,
                             signatureType=TEXTS, hasReminders=SCALARS), max_size=3),
    sequenceSignees=st.lists(members(sequenceKey=TEXTS, signeeKey=SIGNEES, url=st.sampled_from(["l1", "https://l2"]),
                                     signingKeys=st.lists(members(processKey=TEXTS), max_size=2)), max_size=3),
    attachmentReferences=st.lists(members(url=st.just("https://l3"), name=TEXTS), max_size=2),
)  # fmt: skip


def described(page: ActivityPage) -> list[Any]:
    return [
        (
            process.key,
            bad,
            [
                (record.key, msgspec.to_builtins(record.event()), record.raw(), [*record.texts()],
                 [*record.person_values()], [*record.private_values()])
                for record in records
            ],
        )
        for process in page.processes
        for records, bad in [records_of("s", process)]
    ]  # fmt: skip


@given(st.lists(PROCESSES, min_size=1, max_size=3))
def test_both_decoders_return_the_same_records(sent: list[dict[str, Any]]) -> None:
    items = [{**process, "processKey": f"sp{number}"} for number, process in enumerate(sent)]
    fast = decode_activity(msgspec.json.encode(items))
    # An undocumented member makes the lenient decoder read the whole response.
    lenient = decode_activity(msgspec.json.encode([*items, {"processKey": "odd", "undocumented": {"deep": [1]}}]))
    assert "items" not in vars(fast.processes[0]._delivered), "the fast decoder was not used"
    assert lenient.processes.pop().key == "odd"
    assert described(fast) == described(lenient)
