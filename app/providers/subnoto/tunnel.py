"""Access to Subnoto's enclave without a proxy: the vendor's SDK as a transport of `ProviderHttp`.

The SDK (`subnoto-api-client`, pinned to 2.16.1) signs every request (RFC 9421), and towards anything but
`localhost` and `127.0.0.1` it encrypts them, too, in an Oak session that it begins by verifying the enclave's
attestation. This module adds what it lacks:

- Its transport reads `response.request`, which httpx 0.28 sets only later: it is set before (`_Wire`).
- It reads encrypted responses of any size whole: all are read before it, within the gateway's bound (`_Wire`). The
  decrypted text is never longer than the encrypted one.
- After a failed or interrupted handshake, its session manager cannot be used again: it is reset.
- It renews a lost session only if the response about it is encrypted, which is hardly possible, and would interrupt the
  other calls. Here a lost session stays with its lane: running calls finish on it, new ones begin another (`Tunnel`).
- It accepts a plain response to an encrypted request. Here only errors may be plain.

The sessions' native objects belong to the thread that created them (they panic elsewhere, even when freed), so their
work cannot leave the event loop. It is small: they do no I/O, and decrypt a page in a fraction of a millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
from subnoto_api_client.session import SessionManager
from subnoto_api_client.transport import TunnelTransport
from subnoto_api_client.types import SubnotoConfig, SubnotoError, is_tunnel_error

from app.domain.errors import SourceFailed
from app.providers.base import CommonSettings
from app.providers.http.response import Response, decode_body, now_of, read_bounded, word
from app.providers.http.transport import TRANSPORT_ERRORS, translate
from app.providers.subnoto.settings import SubnotoSettings, sdk_encrypts

_ENCRYPTED = "x-subnoto-encrypted-response"
_KEEPALIVE = 30.0  #: seconds
_SHORT = 8192  #: bytes; responses about a lost session are shorter

#: Headers about the replaced body.
_OF_THE_BODY = frozenset({"content-length", "content-encoding", "transfer-encoding"})


class SessionLost(Exception):
    """The enclave has no such session, or dropped it."""


class HandshakeRefused(Exception):
    """The enclave refused the handshake."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Tunnel:
    """Implements `app.providers.http.transport.Transport`: sends requests signed and (but to this machine) encrypted.

    A lost session is renewed once per request; the repetition is not counted as a call. Also raises SourceFailed if the
    attestation fails or a response cannot be decrypted. `attested=False` disables the attestation for tests; no setting
    does."""

    def __init__(self, settings: SubnotoSettings, common: CommonSettings, *, attested: bool = True) -> None:
        self.encrypts = sdk_encrypts(settings.base_url)
        self._keys = (settings.access_key.get_secret_value(), settings.secret_key.get_secret_value())
        self._config = SubnotoConfig(*self._keys, settings.base_url, unattested=not attested)
        self._wire = _Wire(settings.base_url, common)
        timeout = httpx.Timeout(common.read_timeout, connect=common.connect_timeout)
        self._extensions = {"timeout": timeout.as_dict()}
        self._handshakes = httpx.AsyncClient(
            transport=self._wire, timeout=timeout, headers={"accept-encoding": "identity"}, trust_env=False
        )
        # Created by the first call, because a session belongs to its thread, and settings are read in any thread.
        self._lane: _Lane | None = None
        self._opened = 0
        self._attestation: str | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Response:
        request = httpx.Request(method, url, headers=headers, content=content, extensions=self._extensions)
        try:
            response = await self._send(request)
            return Response(response.status_code, await response.aread(), response.headers, now_of(response.headers))
        except TRANSPORT_ERRORS as error:
            raise translate(error) from None

    async def _send(self, request: httpx.Request) -> httpx.Response:
        for _ in range(2):
            lane = self._lane = self._lane or _Lane(_Sessions(self._config, self._handshakes), *self._keys, self._wire)
            lane.users += 1
            try:
                response = await lane.handle_async_request(request)
                self._note(lane)
                if self.encrypts and response.is_success and response.headers.get(_ENCRYPTED) != "true":
                    raise SourceFailed("the enclave's answer did not come through the tunnel")
                if response.status_code == 401 and _is_session_lost(await response.aread()):
                    raise SessionLost
                return response
            except SessionLost:
                self._leave(lane)
            except HandshakeRefused as refused:
                if refused.response.status_code == 429 or refused.response.status_code >= 500:
                    return refused.response  # to be retried later
                raise SourceFailed(f"the enclave answered the handshake with {refused.response.status_code}") from None
            except SubnotoError:
                # Its text may quote the response.
                self._leave(lane)
                raise SourceFailed("the enclave's answer cannot be decrypted, or its handshake does not end") from None
            finally:
                lane.users -= 1
                if lane.users == 0 and lane is not self._lane:
                    lane.session_manager.destroy()
        raise httpx.NetworkError("the enclave forgets its sessions")

    def describe(self) -> dict[str, Any]:
        """Describe the session for `GET /sources`. `attestation` is the SDK's result of the last one."""
        is_open = self._lane is not None and self._lane.session_manager.get_session_id() is not None
        return {
            "encrypted": self.encrypts,
            "session": "open" if is_open else "none",
            "sessions_opened": self._opened,
            "attestation": self._attestation,
        }

    async def aclose(self) -> None:
        if self._lane is not None:
            self._lane.session_manager.destroy()
            self._lane = None
        await self._wire.aclose()

    def _leave(self, lane: _Lane) -> None:
        # Of many calls that lose one session, the first begins a new one.
        if self._lane is lane:
            self._lane = None

    def _note(self, lane: _Lane) -> None:
        sessions = lane.session_manager
        if sessions.fresh:
            sessions.fresh = False
            self._opened += 1
            status = sessions.get_attestation_status()
            self._attestation = None if status is None else word(status)


class _Wire(httpx.AsyncHTTPTransport):
    """The real transport under the SDK, for all sessions."""

    def __init__(self, base_url: str, common: CommonSettings) -> None:
        super().__init__(
            verify=common.network.ssl_context(),
            proxy=common.network.proxy_for(base_url),
            limits=httpx.Limits(max_connections=common.max_concurrency, keepalive_expiry=_KEEPALIVE),
        )
        self._most = common.max_answer_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        try:
            # httpx's decoder inflates a gzip bomb in one chunk of any size.
            body = decode_body(response.headers, await read_bounded(response.aiter_raw(), self._most), self._most)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.items() if name not in _OF_THE_BODY]
        return httpx.Response(response.status_code, headers=headers, content=body, request=request)


class _OnTheWire(httpx.AsyncHTTPTransport):
    """Replaces httpx's transport in the SDK's, without connections of its own."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._wire.handle_async_request(request)


# The SDK has no types: its classes are Any for mypy.
class _Lane(TunnelTransport, _OnTheWire):  # type: ignore[misc]
    """The SDK's transport with one session. `users`: its running calls. After the last call on an unused lane, its
    session is destroyed, because the garbage collector might do so in another thread."""

    def __init__(self, sessions: _Sessions, access_key: str, secret_key: str, wire: _Wire) -> None:
        TunnelTransport.__init__(self, sessions, access_key, secret_key, wire)
        self.users = 0


class _Sessions(SessionManager):  # type: ignore[misc]
    """The SDK's session manager, corrected. `fresh`: a session was begun since the last check."""

    def __init__(self, config: SubnotoConfig, http_client: httpx.AsyncClient) -> None:
        super().__init__(config, http_client)
        self.fresh = False

    async def _handshake(self) -> None:
        try:
            await super()._handshake()
        except BaseException:
            # Also if cancelled: an interrupted handshake cannot be resumed.
            self.invalidate_session()
            raise
        self.fresh = True

    def _process_handshake_response(self, response: httpx.Response, url: str) -> None:
        if not response.is_success:
            raise HandshakeRefused(response)
        try:
            super()._process_handshake_response(response, url)
        except (RuntimeError, ValueError):
            raise SourceFailed(
                "the enclave did not prove what it is: its attestation, or its part of the handshake, does not hold"
            ) from None

    def decrypt_response(self, encrypted: bytes) -> bytes:
        text: bytes = super().decrypt_response(encrypted)
        if _is_session_lost(text):
            raise SessionLost
        return text


def _is_session_lost(body: bytes) -> bool:
    if len(body) > _SHORT:
        return False
    try:
        return bool(is_tunnel_error(json.loads(body)))
    except ValueError:
        return False
