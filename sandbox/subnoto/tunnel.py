"""The enclave's tunnel as the vendor's SDK uses it (2.16.1: `session.py`, `transport.py`).

`POST /tunnel/session` accepts the handshake's messages and returns the session's `X-Session-Id`. A request with this
header has an encrypted body, and so has its response, marked `X-Subnoto-Encrypted-Response: true`. Responses for an
unknown session are not encrypted; their codes are those of the SDK's `types.py`.
"""

from collections import OrderedDict
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from .bodies import VendorError
from .oak_session import BadMessage, OakSession

SESSION_HEADER = "x-session-id"
BINARY = "application/octet-stream"
_MOST_SESSIONS = 1000


class Tunnels:
    """The sessions of all clients. `forget` drops them, like a restart of the enclave."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, OakSession] = OrderedDict()
        self.opened = 0

    def forget(self) -> None:
        self._sessions.clear()

    async def handshake(self, request: Request) -> Response:
        """Return the response to one message of the handshake. Raises VendorError."""
        name = request.headers.get(SESSION_HEADER) or str(uuid4())
        session = self._sessions.setdefault(name, OakSession())
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        try:
            reply = session.reply(await request.body())
        except BadMessage:
            raise VendorError(400, "TUNNEL_ERROR", "This is no message of a handshake") from None
        self.opened += session.is_open
        return Response(reply, media_type=BINARY, headers={SESSION_HEADER: name})

    def unwrap(self, request: Request, body: bytes) -> bytes:
        """Return the body, decrypted if necessary. Raises VendorError."""
        name = request.headers.get(SESSION_HEADER)
        if name is None:
            return body
        session = self._sessions.get(name)
        if session is None or not session.is_open:
            raise VendorError(401, "TUNNEL_SESSION_NOT_FOUND", "There is no such session")
        try:
            text = session.open(body)
        except BadMessage:
            raise VendorError(401, "TUNNEL_ERROR", "The body cannot be decrypted") from None
        request.state.tunnel = session
        return text


def wrapped(request: Request, response: Response) -> Response:
    """Return the response, encrypted if the request was."""
    session = getattr(request.state, "tunnel", None)
    if session is None:
        return response
    marked = {"x-subnoto-encrypted-response": "true"}
    return Response(session.seal(bytes(response.body)), response.status_code, marked, BINARY)
