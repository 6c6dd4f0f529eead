"""The report of an envelope: what it states, that it can be verified, and its pages as chromium prints them."""

import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from app.domain.event import Envelope, Event, Recipient
from app.evidence import create_key_file
from tests.api.conftest import make_app, opened
from tests.api.memory import NATIONAL_ID, PHONE, MemoryRecord, MemorySource, history
from tests.browser import chromium, needs_chromium

HOSTILE = '</style></pre><script>window.hit=1</script><img src="https://evil.example/x">" \u202e\ud83d & {{ 7 * 7 }}'
PDF_TOOLS = all(map(shutil.which, ("pdftotext", "pdftoppm")))


class Hostile(MemoryRecord):
    """A record of a very long envelope, all of whose texts are hostile."""

    def __init__(self, source: str, number: int) -> None:
        super().__init__(source, number)
        self.minute, self.number = number, 21  # e7

    def event(self) -> Event:
        found = super().event()
        found.id = f"ev_{self.minute:04}_" + "x" * 60
        found.envelope = Envelope("e7", name=HOSTILE, owner="owner@example.com")
        found.description = HOSTILE
        found.type = ("recipient.invited", "envelope.viewed", "recipient.signed", "something.new")[self.minute % 4]
        found.user_agent = "Mozilla/5.0 " + "(X11; Linux x86_64) " * (self.minute % 5)
        found.recipient = Recipient(f"r{self.minute % 3}", HOSTILE, None, PHONE, NATIONAL_ID, "qualified")
        return found


class _Ndjson(HTMLParser):
    """The text of `#events-ndjson`, the text of all elements, and the elements' names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ndjson, self.tags, self.text, self._inside = "", set[str](), "", False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._inside = ("id", "events-ndjson") in attrs

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.ndjson += data
        else:
            self.text += data


async def reports(tmp_path: Path, size: int, keys: tuple[str, ...]) -> tuple[dict[str, httpx.Response], Any, str]:
    """The report of envelope e7 for each key; the public keys; the same events as an export."""
    key_file = tmp_path / "signing.pem"
    create_key_file(key_file)
    source = MemorySource("north", [Hostile("north", number) for number in range(size)])
    source.bad_records, source.reason = 1, "events may be left out"
    app = make_app([source, MemorySource("south", history("south", 3))], signing_key_file=key_file)
    async with opened(app) as client:
        found = {
            key: await client.get("/envelopes/e7/report", headers={"Authorization": f"Bearer {key}"}) for key in keys
        }
        jwks = (await client.get("/.well-known/jwks.json")).json()
        window = {"envelope_id": "e7", "source": "north", "order": "asc", "since": "1970-01-01"}
        export = (await client.get("/events/export", params=window)).text
    return found, jwks, export


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_what_it_states_can_be_verified(tmp_path: Path) -> None:
    found, jwks, export = await reports(tmp_path, 12, ("key-of-all-scopes", "reader"))
    full, masked = (_Ndjson(answer.text) for answer in found.values())
    # The canonical NDJSON is what an export of the same filters has before its last line.
    assert full.ndjson.encode() == "".join(export.splitlines(keepends=True)[:-1]).encode()
    for key, page in zip(found, (full, masked), strict=True):
        assert found[key].headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in found[key].headers["content-security-policy"]
        digest = hashlib.sha256(page.ndjson.encode()).hexdigest()
        assert page.text.count(digest) >= 2  # the footer of every page, and the text
        (token,) = re.findall(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", page.text)
        payload = json.loads(jws.deserialize_compact(token, KeySet.import_key_set(jwks), algorithms=["EdDSA"]).payload)
        assert (payload["sha256"], payload["count"]) == (digest, 12)
        assert payload["filters"]["envelope_id"] == "e7"
        assert payload["as_of"].replace("T", " ").removesuffix("Z") in page.text
        events = [json.loads(line) for line in page.ndjson.splitlines()]
        for event in events:
            time = event["occurred_at"].replace("T", " ").removesuffix("Z")
            assert all(text in page.text for text in (event["id"], time, event["user_agent"].strip(), event["type"]))
        assert "qualified" in page.text
        assert re.search(r"Unreadable: \d+ records of north", page.text)
        assert "Note on north: envelope: events may be left out" in page.text
        # What a provider sends is text: nothing that loads or runs.
        assert not page.tags & {"script", "img", "iframe", "link", "object", "form", "a"}
        assert "{{ 7 * 7 }}" in page.text
        assert "[U+202E]" in page.text
        assert "\u202e" not in page.text
    assert "By" in full.text
    assert "all (key)" in full.text
    assert "reader (key)" in masked.text
    assert PHONE in full.text
    assert "Masked:" not in full.text
    assert not [value for value in (PHONE, NATIONAL_ID) if value in found["reader"].text]
    assert "Masked:" in masked.text


@needs_chromium
@pytest.mark.skipif(not PDF_TOOLS, reason="poppler-utils is not installed")
def test_its_pages_on_paper(tmp_path: Path) -> None:
    found, _, _ = anyio.run(reports, tmp_path, 200, ("key-of-all-scopes", "reader"))
    with chromium() as browser:
        for key, answer in found.items():
            (tmp_path / f"{key}.html").write_bytes(answer.content)
            page = browser.new_page()
            page.goto((tmp_path / f"{key}.html").as_uri())
            assert page.evaluate("window.hit") is None
            page.pdf(path=str(tmp_path / f"{key}.pdf"), prefer_css_page_size=True)
    for key, answer in found.items():
        pdf = tmp_path / f"{key}.pdf"
        info = subprocess.run(["pdfinfo", pdf], capture_output=True, text=True, check=True).stdout
        assert re.search(r"Page size:\s+59[45]\S* x 84[12]\S* pts \(A4\)", info)
        text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
        pages = text.split("\f")[:-1]
        assert len(pages) > 10
        plain = re.sub(r"\s+", "", text)
        for number, sheet in enumerate(pages, 1):
            assert f"Page {number} of {len(pages)}" in sheet
            assert "Audit report" in sheet.splitlines()[0]
            assert "SHA-256 " in sheet
        for line in _Ndjson(answer.text).ndjson.splitlines():
            assert json.loads(line)["id"] in plain  # however it is broken into lines
        # Nothing reaches into the margins: every word lies inside the page.
        boxes = subprocess.run(["pdftotext", "-bbox", pdf, "-"], capture_output=True, text=True, check=True).stdout
        edges = [float(x) for x in re.findall(r'xMax="([\d.]+)"', boxes)]
        assert max(edges) <= 595 - 14 / 25.4 * 72
