"""Distinctive secrets and personal data, planted in the settings and both accounts of a gateway."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from joserfc.jwk import OKPKey

from app.api.api_keys import ApiKey, hash_of
from app.config import Configuration, Settings
from app.domain.caller import SCOPES
from app.main import assemble
from sandbox.taktikal.records import Process
from tests.api.conftest import bearer, opened
from tests.api.server import http_scope
from tests.worlds import SubnotoOptions, TaktikalOptions, World, served_world

SECRETS = {
    "TAKTIKAL_COMPANY_KEY": "canarycompany4471",
    "TAKTIKAL_API_KEY": "canaryapikey8832",
    "SUBNOTO_ACCESS_KEY": "canaryaccess5510",
    "SUBNOTO_SECRET_KEY": "Y2FuYXJ5c2VjcmV0OTkxNzAwMTEyMjMzNDQ1NTY2Nzc4ODk5",
    "GATEWAY_CURSOR_SECRET": "canary-cursor-secret-6604-and-more-of-it",
    "GATEWAY_IDENTITY_SECRET": "canary-identity-secret-7715-and-more-of-it",
    "key": "agw_canary-key-of-all-scopes-1230984756",
    "plain key": "agw_canary-key-without-personal-data-5566",
}
#: The signing key, as a member of a JWK and as the body of a PEM file.
SIGNING_SEED = b"canary-signing-key-of-32-bytes-9"
SIGNING_KEY = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(SIGNING_SEED))
SIGNING_FORMS = [str(SIGNING_KEY.as_dict(private=True)["d"]), SIGNING_KEY.as_pem(private=True).decode().split("\n")[1]]
KEY = "sic4n4ryk3y0081"  #: a signee key, which with the process key makes the signing link
LINKS = ["https://sign.canary.example/open/s3cretlink", "https://files.canary.example/f1le"]
#: Phones, national ids and addresses in several spellings.
PRIVATE = {
    "phone": ["+3548691177", "869 1177", "8691177", "00354 869-1177"], "foreign phone": ["+4791234567", "912 34 567"],
    "national id": ["120387-4459", "1203874459"], "another id": ["010175-3389"],
    "address": ["Hraunbraut 77", "HRAUNBRAUT  77"], "town": ["Kanarivik"],
}  # fmt: skip
NAMES = ["Sigurjón Kanarí", "Kanarí", "Sigurjón"]
EMAILS = ["kanari.fugl@canary.example", "eigandi@canary.example"]
SIGNEE = {
    "signeeKey": KEY, "name": NAMES[0], "email": EMAILS[0], "phone": PRIVATE["phone"][0],
    "ssn": PRIVATE["national id"][1], "address": PRIVATE["address"][0], "postalCode": "203", "city": PRIVATE["town"][0],
    "signatureType": "Qualified", "url": LINKS[0], "signingUrl": LINKS[0],
}  # fmt: skip
TEXT = (
    f"Sent to {PRIVATE['phone'][3]} ({PRIVATE['phone'][1]}), {NAMES[0]} <{EMAILS[0].upper()}>, {PRIVATE['address'][1]},"
    f" {PRIVATE['town'][0]}, ids {PRIVATE['national id'][0]} and {PRIVATE['another id'][0]},"
    f" also {PRIVATE['foreign phone'][0]}; dear {NAMES[2]}"
)


def plant(world: World) -> None:
    """Make both histories, with planted values in every text of the vendors' formats."""
    now = world.clock()
    history = world.taktikal.history
    history.add_process(
        Process(
            key="spcanary0001",
            started_by=EMAILS[1],
            file_name=f"{NAMES[0]} {PRIVATE['national id'][0]}.pdf",
            signees=(SIGNEE,),
            sequence_signees=({"signeeKey": KEY, "name": NAMES[0], "url": LINKS[0]},),
            attachments=({"fileName": "a.pdf", "url": LINKS[1], "signeeKey": KEY},),
        )
    )
    for number, status in enumerate(("Created", "SigneeAdded", "SignupSent", "SMS:DELIVERED", "Auth", "SigneeSigned")):
        history.append(
            "spcanary0001",
            status,
            at=now - timedelta(hours=2, minutes=-number),
            description=f"{TEXT} {LINKS[0]} {KEY}" if number else "Process created.",
            created_by=EMAILS[1] if status == "Created" else EMAILS[0],
            signeeKey=KEY,
            userAgent=f"Mozilla {PRIVATE['phone'][0]} {EMAILS[0]}",
            note={"deep": [TEXT], "mobileNumber": 8691177, "attachments": [{"url": LINKS[1]}]},
        )
    data = {
        "recipientEmail": EMAILS[0], "recipientName": NAMES[0], "recipientPhone": PRIVATE["phone"][0],
        "recipient": {"nationalId": PRIVATE["national id"][1], "address": {"street": PRIVATE["address"][0]}},
        "city": PRIVATE["town"][0], "ssn": PRIVATE["another id"][0], "mobile": PRIVATE["foreign phone"][0],
        "note": TEXT, "signingUrl": LINKS[0], "attachments": [{"name": "a.pdf", "url": LINKS[1]}],
        "envelopeTitle": f"Lease of {NAMES[0]}, {PRIVATE['town'][0]}", "userAgent": f"Mozilla {PRIVATE['phone'][0]}",
        TEXT: TEXT,
    }  # fmt: skip
    author = {"id": 77, "uuid": "0b0b0b0b-1111-4222-8333-444444444444", "email": EMAILS[1], "name": NAMES[0]}
    for category, kind in (("envelope", "ENVELOPE_OPENED"), ("envelope", "DOCUMENT_SIGNED"), ("team", "MEMBER_JOINED")):
        world.subnoto.history.append(
            kind, category=category, event_data=data, author=author, timestamp=now - timedelta(hours=1)
        )


class Canary:
    """The gateway over both accounts, its responses by caller, and its log."""

    def __init__(self, world: World, app: FastAPI, log: io.StringIO) -> None:
        self.world, self.app, self.log = world, app, log
        self.responses: dict[str, list[str]] = {"key": [], "plain key": [], "anonymous": []}
        self.streams: dict[str, list[str]] = {"key": [], "plain key": [], "anonymous": []}  #: texts of the streams
        self.tokens: set[str] = set()

    async def get(self, client: httpx.AsyncClient, caller: str, path: str, **options: Any) -> httpx.Response:
        headers = bearer(SECRETS[caller]) if caller in SECRETS else {}
        response = await client.get(path, headers=headers, **options)
        # A warning repeats the caller's value.
        text = re.sub(r'"warnings":\[[^\]]*\]', "", response.text)
        self.responses[caller].append(text + repr(response.headers))
        # The cursor is checked below. The links of a page repeat the caller's query.
        for found in re.findall(r'"(?:id|next_cursor)":"([A-Za-z0-9_-]{30,})"', response.text):
            self.tokens.add(found)
        return response

    async def listen(self, caller: str, messages: int = 1, heartbeats: int = 2, **params: Any) -> int:
        """Read a stream until it has sent so many messages or heartbeats, and return its status.

        httpx's ASGITransport waits for the end of a response, which a stream does not have."""
        headers = [(b"authorization", f"Bearer {SECRETS[caller]}".encode())] if caller in SECRETS else []
        scope = http_scope("/events/stream", str(httpx.QueryParams(params)).encode(), headers)
        is_complete = asyncio.Event()
        start: dict[str, Any] = {}
        text = ""

        async def receive() -> dict[str, Any]:
            await is_complete.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal text
            start.update(message if message["type"] == "http.response.start" else {})
            text += message.get("body", b"").decode()
            if text.count("data: ") >= messages or text.count(": heartbeat") >= heartbeats:
                is_complete.set()

        async with asyncio.timeout(30):
            await self.app(scope, receive, send)
        self.responses[caller].append(text + repr(start["headers"]))
        if start["status"] == 200:
            self.streams[caller].append(text)
        self.tokens.update(re.findall(r"^id: (\S+)$", text, re.MULTILINE))
        return int(start["status"])


#: The gateway's keys, as a setting.
KEY_LINES = "\n".join(
    ApiKey(name.replace(" ", "-"), hash_of(SECRETS[name]), frozenset(scopes)).line()
    for name, scopes in (("key", SCOPES), ("plain key", set(SCOPES) - {"pii:read"}))
)


@contextmanager
def planted_world() -> Iterator[World]:
    taktikal = {"company_key": SECRETS["TAKTIKAL_COMPANY_KEY"], "api_key": SECRETS["TAKTIKAL_API_KEY"]}
    subnoto = {"access_key": SECRETS["SUBNOTO_ACCESS_KEY"], "secret_key": SECRETS["SUBNOTO_SECRET_KEY"]}
    with served_world(TaktikalOptions(events=0, **taktikal), SubnotoOptions(events=0, **subnoto)) as world:
        plant(world)
        yield world


@asynccontextmanager
async def gateway(log: io.StringIO, pseudonymize: bool) -> AsyncIterator[tuple[Canary, httpx.AsyncClient]]:
    with planted_world() as world, NamedTemporaryFile(suffix=".pem") as signing_key:
        signing_key.write(SIGNING_KEY.as_pem(private=True))
        signing_key.flush()
        settings = Settings(
            api_keys=KEY_LINES,
            cursor_secret=SECRETS["GATEWAY_CURSOR_SECRET"],
            identity_secret=SECRETS["GATEWAY_IDENTITY_SECRET"],
            signing_key_file=Path(signing_key.name),
            pseudonymize=pseudonymize,
            totals_ttl=0,
            deadline=8,
            default_window="P36500D",
            stream_poll=0.02,
            stream_heartbeat=0.03,
        )
        app = assemble(Configuration(settings, world.env))
        async with opened(app, key=None) as client:
            yield Canary(world, app, log), client


def found_in(text: str, values: list[str]) -> list[str]:
    folded = text.casefold()
    escaped = json.dumps(text).casefold()
    return [value for value in values if value.casefold() in folded or json.dumps(value)[1:-1].casefold() in escaped]


ALL_PRIVATE = [form for forms in PRIVATE.values() for form in forms]
ALL_SECRETS = [*SECRETS.values(), *SIGNING_FORMS, KEY]
