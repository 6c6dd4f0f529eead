"""Join envelopes to log records: name, status, owner and recipients, which the log lacks, from `public/envelope/get`.

Source of the shape: `subnoto-api-client` 2.16.1, `generated/models/post_public_envelope_get_response_200*.py`. Only
with SUBNOTO_JOIN_ENVELOPES. A page makes at most `CallBudget.joins` of these calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec
from cachetools import TTLCache

from app.domain.errors import SourceError, SourceForbidden, SourceTimeout, SourceUnauthorized
from app.domain.event import Envelope, Recipient
from app.domain.position import Position
from app.domain.text import fold
from app.privacy.person_fields import private_leaves
from app.providers.base import Batch, CallBudget, Hint, ProbeResult, Reader, ReadRequest
from app.providers.http.client import ProviderHttp, error_for
from app.providers.http.concurrency import gather_all
from app.providers.http.lenient_json import read_json
from app.providers.http.observations import OptionalCalls
from app.providers.subnoto.client import ABSENT, REFUSED
from app.providers.subnoto.mapping import stripped
from app.providers.subnoto.wire import Sent, decode_error, without_signee_keys

if TYPE_CHECKING:
    from app.providers.subnoto.record import SubnotoRecord

_MOST = 10_000  #: envelopes in the cache
_GOOD_FOR = 60  #: seconds
_FAILED_FOR = 600  #: seconds
_KIND = "envelopes"  #: of optional calls

#: The vendor's statuses and the gateway's. Others are unchanged.
_STATUSES = {
    "complete": "completed", "signing": "active", "approving": "active", "draft": "draft", "uploading": "draft",
    "declined": "declined", "canceled": "canceled", "expired": "expired",
}  # fmt: skip


class JoinedEnvelope(msgspec.Struct, frozen=True):
    """One envelope of the envelope API; all None if it does not exist there."""

    name: str | None = None
    status: str | None = None
    owner: str | None = None
    owner_name: str | None = None
    recipients: tuple[Recipient, ...] = ()
    private: tuple[str, ...] = ()  #: phones and addresses of the recipients

    def complete(self, envelope: Envelope) -> Envelope:
        """Return the envelope with the values that the log lacks."""
        return msgspec.structs.replace(
            envelope, name=self.name or envelope.name, status=self.status, owner=self.owner or envelope.owner
        )

    def recipient(self, named: Recipient | None, address: str | None) -> Recipient | None:
        """Return the log's recipient with its missing values; without one, the only recipient with the author's
        `address`. A recipient with a shared address is unchanged."""
        email = named.email if named is not None else address
        known = [one for one in self.recipients if email and fold(one.email or "") == fold(email.strip())]
        if len(known) != 1:
            return named
        if named is None:
            return known[0]
        return Recipient(
            named.id, named.name or known[0].name, named.email, named.phone or known[0].phone, named.national_id,
            named.signature_type,
        )  # fmt: skip

    def people(self) -> Iterable[str | None]:
        yield from (self.owner, self.owner_name)
        for one in self.recipients:
            yield from (one.name, one.email)


def decode_envelope(body: bytes) -> JoinedEnvelope:
    """Decode a response, member by member. Raises SourceFailed for invalid JSON."""
    sent = read_json(without_signee_keys(body)).value
    if not isinstance(sent, dict):
        return JoinedEnvelope()
    owner = sent.get("owner")
    owner = owner if isinstance(owner, dict) else {}
    listed = sent.get("recipients")
    recipients = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    status = _text(sent, "status")
    return JoinedEnvelope(
        _text(sent, "title"),
        status and _STATUSES.get(status.casefold(), status.casefold()),
        stripped(_text(owner, "email")),
        _name(owner),
        tuple(Recipient(None, _name(one), stripped(_text(one, "email")), _text(one, "phone")) for one in recipients),
        tuple(private_leaves(recipients)),
    )


def _name(person: dict[str, Any]) -> str | None:
    return " ".join(filter(None, (_text(person, "firstname"), _text(person, "lastname")))) or None


def _text(sent: dict[str, Any], name: str) -> str | None:
    value = sent.get(name)
    return value if isinstance(value, str) and value else None


_Key = tuple[str, str | None]  #: UUIDs of envelope and workspace


class EnvelopeJoin:
    """Read envelopes of one account and cache them for a minute, failures for ten. `timer` is a monotonic clock in
    seconds."""

    def __init__(self, http: ProviderHttp, timer: Callable[[], float], optional: OptionalCalls) -> None:
        self._http, self._optional = http, optional
        self._kept: TTLCache[_Key, JoinedEnvelope] = TTLCache(_MOST, _GOOD_FOR, timer)
        self._failed: TTLCache[_Key, SourceError] = TTLCache(_MOST, _FAILED_FOR, timer)  # while others did not
        self._refusal: TTLCache[None, SourceForbidden] = TTLCache(1, _GOOD_FOR, timer)

    async def join(self, records: Sequence[SubnotoRecord], likely: int, spent: CallBudget) -> str | None:
        """Join cached envelopes and, with the remaining calls, those of the first `likely` records, for display.
        Returns the reason for missing ones. Raises SourceUnauthorized, but no other SourceError."""
        found, missing = self._known(records)
        wanted = {_key(record.row.sent) for record in records[:likely]}
        reads = [key for key in missing if key in wanted and key not in self._failed]
        reason = None
        if len(reads) > spent.joins:
            reason = f"{len(reads) - spent.joins} envelopes are shown without name, status and owner: too many a page"
        reads = reads[: spent.joins]
        spent.joins -= len(reads)
        failures = [failure for key in missing if (failure := self._failed.get(key)) is not None]
        if reads:
            read = await self._optional.hint(_KIND, spent, partial(self._read_some, reads, failures))
            if read is None:
                failures.append(self._optional.failure(_KIND) or SourceTimeout("no time was left to read them"))
            found |= read or {}
        if failures:
            reason = f"envelopes are shown without name, status and owner: {failures[0].detail}"
        for record in records:
            record.joined = found.get(_key(record.row.sent))
        return reason

    async def join_all(self, records: Sequence[SubnotoRecord], spent: CallBudget) -> int:
        """Join the records as far as the remaining calls suffice. Returns their number, at least those of the first
        timestamp, so that every page makes progress. Raises SourceError."""
        found, missing = self._known(records)
        first = {_key(record.row.sent) for record in records if record.key[0] == records[0].key[0]}
        reads = missing[: max(spent.joins, len(first.intersection(missing)))]
        spent.joins = max(0, spent.joins - len(reads))
        found |= await self._read(reads, spent)
        for index, record in enumerate(records):
            if (joined := found.get(key := _key(record.row.sent))) is None and key[0]:
                while records[index - 1].key[0] == record.key[0]:
                    index -= 1
                return index
            record.joined = joined
        return len(records)

    async def probe(self, sent: Sent, spent: CallBudget) -> ProbeResult:
        """Read the envelope of one record."""
        try:
            await self._read([_key(sent)], spent)
        except SourceError as error:
            advice = "give the key Read Envelope, or leave SUBNOTO_JOIN_ENVELOPES out"
            return ProbeResult("envelopes", "warning", f"not readable: {error.detail}", advice)
        return ProbeResult("envelopes", "ok", "readable: names, statuses, owners and recipients are joined")

    def _known(self, records: Iterable[SubnotoRecord]) -> tuple[dict[_Key, JoinedEnvelope], list[_Key]]:
        """Return the cached envelopes, and the keys of the others in the order of the records."""
        keys = dict.fromkeys(key for record in records if (key := _key(record.row.sent))[0])
        found = {key: known for key in keys if (known := self._kept.get(key)) is not None}
        return found, [key for key in keys if key not in found]

    async def _read(self, keys: Sequence[_Key], spent: CallBudget) -> dict[_Key, JoinedEnvelope]:
        """Read envelopes. Raises SourceError; SourceForbidden if the key may not read envelopes."""
        if keys and (refusal := self._refusal.get(None)) is not None:
            raise SourceForbidden(refusal.detail, provider_request_id=refusal.provider_request_id)
        return dict(zip(keys, await gather_all(self._get(key, spent) for key in keys), strict=True))

    async def _read_some(
        self, keys: Sequence[_Key], failures: list[SourceError], spent: CallBudget
    ) -> dict[_Key, JoinedEnvelope]:
        """Read envelopes, and add those that fail to `failures`. Raises SourceError if all fail."""

        async def read(key: _Key) -> tuple[_Key, JoinedEnvelope] | None:
            try:
                return key, await self._get(key, spent)
            except (SourceForbidden, SourceUnauthorized):
                raise
            except SourceError as error:
                failed[key] = error
                return None

        failed: dict[_Key, SourceError] = {}
        found = dict(filter(None, await gather_all(map(read, keys))))
        failures.extend(failed.values())
        if not found:
            raise failures.pop()
        self._failed.update(failed)
        return found

    async def _get(self, key: _Key, spent: CallBudget) -> JoinedEnvelope:
        # Without a workspace, the vendor uses the team's default one.
        names = {"envelopeUuid": key[0]} | ({} if key[1] is None else {"workspaceUuid": key[1]})
        answer = await self._http.call("POST", "public/envelope/get", spent, json=names)
        if answer.ok:
            joined = decode_envelope(answer.body)
        else:
            error = decode_error(answer.body)
            if error.code in REFUSED:
                detail = f"the provider refuses to read envelopes ({error.code}): give the key Read Envelope"
                refusal = SourceForbidden(detail, provider_request_id=error.request_id)
                self._refusal[None] = refusal
                raise refusal
            if error.code not in ABSENT:
                raise error_for(answer, code=error.code, request_id=error.request_id)
            joined = JoinedEnvelope()
        self._kept[key] = joined
        return joined


def _key(sent: Sent) -> _Key:
    return sent.envelope_uuid or "", sent.workspace_uuid or None


class JoiningReader:
    """A reader with joined envelopes. If filters depend on them, a batch ends at the last joined record."""

    def __init__(self, reader: Reader, join: EnvelopeJoin, request: ReadRequest, spent: CallBudget) -> None:
        self._reader, self._join, self._request, self._spent = reader, join, request, spent
        self._held: Batch | None = None

    async def read(self, want: int, max_calls: int) -> Batch:
        batch, self._held = self._held or await self._reader.read(want, max_calls), None
        records = cast("list[SubnotoRecord]", batch.records)
        if not records:
            return batch
        if self._request.join == "shown":
            return _because(batch, await self._join.join(records, want, self._spent))
        try:
            end = await self._join.join_all(records, self._spent)
        except SourceForbidden as error:
            query = self._request.query
            if query.owner is not None or query.envelope_status is not None:
                raise  # these filters need the envelopes
            return _because(batch, f"filters do not see owners and recipients of envelopes: {error.detail}")
        if end == len(records):
            return batch
        time_left_out = records[end].key[0]
        self._held = msgspec.structs.replace(batch, records=records[end:], bad_records=Counter(), reason=None)
        edge = time_left_out if self._request.query.ascending else time_left_out + 1
        return msgspec.structs.replace(batch, records=records[:end], complete_until=edge, ended=False)

    def hint(self, position: Position) -> Hint:
        return self._reader.hint(position)


def _because(batch: Batch, reason: str | None) -> Batch:
    return msgspec.structs.replace(batch, reason="; ".join(filter(None, (batch.reason, reason))) or None)
