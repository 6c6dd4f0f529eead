"""A provider's record before it becomes an event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from app.domain.event import Event, Recipient
from app.domain.position import Key


class Record(Protocol):
    """One audit record of a provider."""

    @property
    def key(self) -> Key:
        """Its place in the gateway's order; see `app.domain.position`."""

    @property
    def provider_type(self) -> str:
        """The provider's own status or event type, untouched."""

    @property
    def type(self) -> str:
        """The gateway's type, `unknown` where the mapping has none."""

    def event(self) -> Event:
        """The normalized event, `raw` left None, before any masking. Made anew on each call, for whoever shows it
        changes it; its parts and its data may be shared, and are copied before they are changed."""

    def raw(self) -> Any:
        """The record as delivered, less what is never handed out (signing links)."""

    def texts(self) -> Iterable[tuple[str, str]]:
        """(name, text) pairs that `q` is looked for in, where the gateway judges `q`; never a signing link. `name` is
        what the provider calls the text, so that a caller who may not see phones is not answered by one. Records that
        share their texts, such as those of one envelope, give the same tuple: it is judged once for all of them. So
        with `person_values` and `private_values`."""

    def person_values(self) -> Iterable[str]:
        """Names and e-mail addresses of the people who may be mentioned anywhere in the event or its raw record: what
        pseudonyms are put for where GATEWAY_PSEUDONYMIZE is set."""

    def private_values(self) -> Iterable[str]:
        """Values that a caller without `pii:read` must not see anywhere in the event: ids, phones, addresses."""

    def recipients(self) -> Sequence[Recipient]:
        """All recipients of the record's envelope, before any masking; empty where the provider did not send them."""

    @property
    def names_all_recipients(self) -> bool:
        """Whether `private_values` has those of all recipients of the envelope. Where it has not, every number that may
        be a phone or a national id is hidden from callers without `pii:read`."""

    def recipient_id(self, key: str) -> str:
        """The recipient id in events for the provider's own key of a recipient; the key itself where they are one."""
