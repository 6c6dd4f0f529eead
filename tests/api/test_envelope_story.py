"""The story of an envelope, told from its events."""

import random
from typing import Any

import msgspec
import pytest

from app.domain.event import Actor, Delivery, Envelope, Event, Recipient
from app.feed.envelopes import EnvelopeDurations, RecipientDurations, tell_story

ANNA, BO = Recipient("a", "Anna", "anna@example.com"), Recipient("b", "Bo", "bo@example.com")


def event(minute: int, type_: str, recipient: Recipient | None = None, **parts: Any) -> Event:
    data, actor = parts.pop("data", {}), parts.pop("actor", Actor("system"))
    return Event(
        f"id{minute}", "north", "acme", type_, "envelope", "success", type_, None, at(minute), None, actor,
        Envelope("e1", **parts.pop("envelope", {})), recipient, parts.pop("delivery", None), None, None, data,
    )  # fmt: skip


def at(minute: int) -> str:
    return f"2026-05-{1 + minute // 1440:02}T{minute // 60 % 24:02}:{minute % 60:02}:00.000000Z"


def test_what_became_of_each_recipient() -> None:
    invitation = Delivery("sms", "delivered", None)
    story = tell_story(
        [
            event(0, "envelope.created", envelope={"name": "old.pdf", "owner": "o@example.com"}),
            event(1, "recipient.added", ANNA),
            event(1, "recipient.added", BO),
            event(2, "recipient.invited", ANNA),
            event(3, "recipient.invited", BO),
            event(4, "notification.delivered", ANNA, delivery=invitation),
            event(5, "notification.failed", BO, delivery=Delivery("email", "failed", None)),
            event(6, "notification.opened", ANNA, delivery=invitation),
            event(7, "envelope.viewed", ANNA),
            event(8, "envelope.viewed", ANNA),
            event(9, "recipient.reminded", BO, delivery=Delivery("sms", "sent", "reminder")),
            event(10, "recipient.identity_verified", None, actor=Actor("recipient", "a", "Anna", "anna@example.com")),
            event(11, "recipient.signed", ANNA),
            event(12, "notification.delivered", ANNA, delivery=Delivery("email", "delivered", "confirmation")),
            event(13, "notification.delivered", BO, delivery=Delivery("email", "delivered", "sender_notice")),
            event(62, "recipient.signed", BO),
            event(62, "envelope.completed", BO),
            event(70, "notification.opened", BO, envelope={"name": "new.pdf"}, delivery=invitation),
        ]
    )
    assert story.envelope == Envelope("e1", "new.pdf", None, "o@example.com")
    assert story.status == "completed"
    assert story.durations == EnvelopeDurations(3720.0, 660.0, 3720.0)
    anna, bo = story.recipients
    assert [anna.invited_at, anna.delivered_at, anna.opened_at, anna.viewed_at, anna.verified_at, anna.signed_at] == [
        at(minute) for minute in (2, 4, 6, 7, 10, 11)
    ]
    assert anna.durations == RecipientDurations(300.0, 540.0, 240.0)
    assert (anna.state, anna.failures, anna.reminders) == ("signed", [], [])
    assert (bo.delivered_at, bo.opened_at, bo.viewed_at, bo.signed_at) == (None, None, None, at(62))
    assert [(one.event_id, one.occurred_at, one.channel) for one in bo.failures] == [("id5", at(5), "email")]
    assert [(one.event_id, one.channel) for one in bo.reminders] == [("id9", "sms")]
    assert bo.durations.invited_to_viewed is None


@pytest.mark.parametrize(
    ("types", "status", "state"),
    [
        (["recipient.added"], "in_progress", "added"),
        (["recipient.added", "recipient.invited"], "in_progress", "invited"),
        (["recipient.added", "recipient.invited", "notification.failed"], "in_progress", "not_reached"),
        (["recipient.invited", "notification.failed", "envelope.viewed"], "in_progress", "viewed"),
        (["recipient.invited", "envelope.viewed", "envelope.declined"], "declined", "declined"),
        (["recipient.invited", "recipient.signed", "envelope.expired"], "expired", "signed"),
        (["recipient.invited", "envelope.canceled"], "canceled", "invited"),
        (["something.new"], "in_progress", "added"),
    ],
)
def test_status_and_state(types: list[str], status: str, state: str) -> None:
    story = tell_story([event(minute, type_, ANNA) for minute, type_ in enumerate(types)])
    assert (story.status, [one.state for one in story.recipients]) == (status, [state])


def test_who_is_who() -> None:
    """Ids tell people who share an address apart; without ids, the address does; what is masked, or absent, never."""
    twin = Recipient("a2", "Anna's twin", "ANNA@example.com")
    story = tell_story([event(0, "recipient.added", ANNA), event(1, "recipient.signed", twin)])
    assert [(one.id, one.state) for one in story.recipients] == [("a", "added"), ("a2", "signed")]

    listed = {"recipients": [{"email": "anna@example.com", "role": "signer"}, {"name": "Bo"}, "odd", {"role": "x"}, {}]}
    sent = event(0, "envelope.sent", data=listed)
    signed = event(1, "recipient.signed", Recipient(None, "Anna", "Anna@Example.com", signature_type="simple"))
    story = tell_story([sent, signed, event(2, "envelope.viewed", Recipient(None, "Bo"))])
    anna, bo = story.recipients
    assert (anna.name, anna.invited_at, anna.signed_at, anna.signature_type) == ("Anna", at(0), at(1), "simple")
    assert (bo.invited_at, bo.viewed_at, bo.signed_at) == (at(0), at(2), None)
    assert not tell_story([event(0, "envelope.sent", data={"recipients": "all"})]).recipients

    masked = [event(0, "recipient.added", Recipient("a", "***", "***")), event(1, "x", Recipient("b", "***", "***"))]
    assert [one.id for one in tell_story(masked).recipients] == ["a", "b"]
    masked = [event(0, "recipient.added", Recipient(None, "***")), event(1, "x", Recipient(None, "***"))]
    assert len(tell_story(masked).recipients) == 2


def test_it_holds_for_any_events() -> None:
    """First times, counts and totals agree with a plain reading of the same events."""
    chance = random.Random(5)
    types = ("recipient.invited", "envelope.viewed", "recipient.signed", "recipient.reminded", "notification.failed")
    for _ in range(200):
        events = [event(m, chance.choice(types), chance.choice((ANNA, BO, None))) for m in range(chance.randint(1, 20))]
        before = msgspec.json.encode(events)
        story = tell_story(events)
        assert msgspec.json.encode(events) == before
        assert story.durations.total == 60.0 * (len(events) - 1)
        for person in (ANNA, BO):
            own = [one for one in events if one.recipient is person]
            found = [one for one in story.recipients if one.id == person.id]
            assert len(found) == (1 if own else 0)
            for name, type_ in (("invited_at", types[0]), ("viewed_at", types[1]), ("signed_at", types[2])):
                times = [one.occurred_at for one in own if one.type == type_]
                assert [getattr(one, name) for one in found if times] == times[:1]
            for one in found:
                assert [m.event_id for m in one.reminders] == [e.id for e in own if e.type == types[3]]
                assert [m.event_id for m in one.failures] == [e.id for e in own if e.type == types[4]]
