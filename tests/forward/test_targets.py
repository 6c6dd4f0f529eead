"""Every kind of receiver, real if possible: the messages that it gets, and when a batch is accepted."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import stamina

from app.cli.forwarding import open_target, tls_context
from app.cli.output import lines_of
from app.domain.errors import ConfigurationError
from app.forward import Gone, Item, Temporary, TooLarge
from tests.forward.receivers import (
    SECRET,
    TOKEN,
    Rsyslog,
    SplunkHandler,
    WebhookHandler,
    certificate,
    lacks_rsyslog,
    receiving,
)

SECRETS = {"FORWARD_SECRET": SECRET, "FORWARD_TOKEN": TOKEN}


def event(number: int, **members: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "source": "acme",
        "provider": "acme",
        "type": "recipient.signed",
        "category": "envelope",
        "outcome": "success",
        "provider_type": "Signed",
        "provider_id": None,
        "occurred_at": f"2026-05-01T10:00:{number:02}.123456Z",
        "description": 'Þórður "signed"\n\u2028 \x07',
        "actor": {"kind": "system", "id": None, "name": None, "email": None},
        "envelope": {"id": "sp1", "name": None, "status": None, "owner": None, "flow_id": None, "workspace_id": None,
                     "sequence_id": None},
        "recipient": None, "delivery": None, "target": None, "user_agent": None, "data": {}, "raw": None,
    } | members  # fmt: skip


EVENTS = [event(1), event(2, outcome="failure"), event(3, type="a.type with blanks and more than 32 characters")]


def items(form: str = "ndjson", events: list[dict[str, Any]] = EVENTS) -> list[Item]:
    line = lines_of(form).line
    return [Item(one, line(one).rstrip(b"\n")) for one in events]


def deliver(
    url: str,
    form: str | None = None,
    *,
    secrets: Mapping[str, str] = SECRETS,
    tls: ssl.SSLContext | None = None,
    events: list[dict[str, Any]] = EVENTS,
) -> str:
    """Send one batch and return its format."""
    opened = open_target(url, form, secrets, tls or tls_context(None, None))
    try:
        opened.target.deliver(items(opened.format, events))
    finally:
        opened.target.close()
    return opened.format


# ---- webhooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [None, "ndjson", "cloudevents"])
def test_a_webhook_is_verified_by_the_library(form: str | None) -> None:
    with receiving(WebhookHandler) as (address, accepted):
        assert deliver(f"http://{address}/audit", form) == (form or "cloudevents")
        assert accepted.events == EVENTS
        deliver(f"http://{address}/audit", form)
        first, second = accepted.requests
        assert first["webhook-id"] == second["webhook-id"], "one batch has one id"
        assert first["authorization"] == f"Bearer {TOKEN}"


def test_every_key_signs_while_keys_are_replaced() -> None:
    both = {"FORWARD_SECRET": f"whsec_{'QUJD' * 8} {SECRET}"}
    with receiving(WebhookHandler) as (address, accepted):
        deliver(f"http://{address}", secrets=both)
        assert accepted.events == EVENTS
        assert len(accepted.requests[0]["webhook-signature"].split()) == 2


@pytest.mark.parametrize(("status", "error"), [(500, Temporary), (401, Temporary), (413, TooLarge), (410, Gone),
                                               (302, Temporary), ("cut", Temporary)])  # fmt: skip
def test_a_status_other_than_2xx_is_not_accepted(status: Any, error: type[Exception]) -> None:
    with receiving(WebhookHandler) as (address, accepted):
        accepted.faults.append(status)
        accepted.headers["Retry-After"] = "7"
        with pytest.raises(error) as raised:
            deliver(f"http://{address}/audit")
        if isinstance(raised.value, Temporary) and status != "cut":
            assert raised.value.retry_after == 7
            assert str(status) in str(raised.value)
        assert accepted.events == []


def test_https_requires_a_trusted_certificate(tmp_path: Path) -> None:
    pem, key = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, key)
    with receiving(WebhookHandler, tls=server) as (address, accepted):
        with pytest.raises(Temporary):
            deliver(f"https://{address}")
        deliver(f"https://{address}", tls=tls_context(pem, None))
        assert accepted.events == EVENTS
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            deliver(f"https://{address}", tls=tls_context(None, None, {name: str(pem)}))


# ---- Splunk ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("acknowledges", [None, 0, 2])
def test_splunk_gets_its_envelope_and_acknowledges(acknowledges: int | None) -> None:
    with receiving(SplunkHandler, acknowledges=acknowledges) as (address, accepted):
        deliver(f"splunk-hec+http://{address}?index=audit")
        outer = [found.pop("outer") for found in accepted.events]
        assert accepted.events == EVENTS
        assert [one["time"] for one in outer] == [1777629601.123456, 1777629602.123456, 1777629603.123456]
        assert {(one["index"], one["sourcetype"], one["source"]) for one in outer} == {
            ("audit", "audit_gateway:event", "audit-gateway:acme")
        }
        questions = [one for one in accepted.requests if one["path"].endswith("/ack")]
        assert len(questions) == (0 if acknowledges is None else acknowledges + 1)


def test_a_refusal_of_splunk_is_reported_without_the_token() -> None:
    with receiving(SplunkHandler) as (address, accepted):
        with pytest.raises(Temporary, match=r"^answered 403 with code 4$"):
            deliver(f"splunk-hec+http://{address}", secrets={"FORWARD_TOKEN": "wrong"})
        assert accepted.events == []


# ---- syslog ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[None, "ossl", "gtls"])
def rsyslog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rsyslog]:
    if package := lacks_rsyslog(request.param):
        pytest.skip(f"not installed: apt-get install {package}")
    server = Rsyslog(tmp_path, request.param)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_rsyslog_reads_the_messages(rsyslog: Rsyslog) -> None:
    scheme = "syslog+tls" if rsyslog.driver else "syslog"
    url = f"{scheme}://127.0.0.1:{rsyslog.port}"
    tls = tls_context(rsyslog.folder / "receiver.pem", None)
    large = event(4, data={"text": "x" * 100_000})
    for events in (EVENTS, [large]):
        for attempt in stamina.retry_context(on=Temporary, wait_jitter=0):  # as the forwarder does
            with attempt:
                deliver(url, tls=tls, events=events)
    rsyslog.stop()  # flushes its log
    assert list({one["id"]: one for one in rsyslog.events}.values()) == [*EVENTS, large]
    first, second, third, *_ = rsyslog.lines
    assert first[:7] == [
        "audit.notice", "1", "2026-05-01T10:00:01.123456Z", "audit-gateway", "acme", "recipient.signed", "-",
    ]  # fmt: skip
    assert second[0] == "audit.warning"
    assert third[5] == "a.type_with_blanks_and_more_than"
    with pytest.raises(Temporary, match=r"ConnectionRefusedError"):
        deliver(url, tls=tls)


def test_a_reset_before_all_is_read_is_no_acceptance() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def killed() -> None:
        connection, _ = server.accept()
        connection.recv(10)
        time.sleep(0.1)
        connection.close()  # unread bytes reset the connection, as after a kill

    thread = threading.Thread(target=killed)
    thread.start()
    with server, pytest.raises(Temporary, match=r"ConnectionResetError|BrokenPipeError"):
        deliver(f"syslog://127.0.0.1:{server.getsockname()[1]}")
    thread.join()


# ---- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "environment", "named"),
    [
        ("ftp://example.com", SECRETS, "--to"),
        ("https://", SECRETS, "--to"),
        ("https://h:99999", SECRETS, "--to"),
        ("https://me:secret@h", SECRETS, "FORWARD_TOKEN"),
        ("http://example.com", SECRETS, "TLS"),
        ("splunk-hec+http://10.0.0.1", SECRETS, "TLS"),
        ("https://example.com", {}, "FORWARD_SECRET"),
        ("https://example.com", {"FORWARD_SECRET": "whsec_c2hvcnQ="}, "FORWARD_SECRET"),
        ("https://example.com", {"FORWARD_SECRET": "c2VjcmV0" * 4}, "FORWARD_SECRET"),
        ("splunk-hec://example.com", {}, "FORWARD_TOKEN"),
        ("splunk-hec://example.com?token=x", SECRETS, "token"),
        ("syslog://example.com/path", SECRETS, "syslog"),
    ],
)
def test_a_wrong_address_or_secret_is_named(url: str, environment: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_target(url, None, environment, tls_context(None, None))
    assert named in raised.value.detail
    for secret in ("secret@", "c2hvcnQ", "c2VjcmV0"):
        assert secret not in raised.value.detail


def test_a_wrong_format_or_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--format must be one of"):
        open_target("syslog://h", "csv", {}, tls_context(None, None))
    (tmp_path / "empty").touch()
    for files in ((tmp_path / "none", None), (None, tmp_path / "empty")):
        with pytest.raises(ConfigurationError, match="--c"):
            tls_context(*files)


@pytest.mark.parametrize(
    ("url", "shown", "form"),
    [
        ("https://example.com:8443/hook/SECRET?key=SECRET", "https://example.com:8443", "cloudevents"),
        ("splunk-hec://example.com", "splunk-hec://example.com:8088", "ndjson"),
        ("syslog+tls://[::1]", "syslog+tls://[::1]:6514", "ndjson"),
        ("syslog://h", "syslog://h:601", "ndjson"),
    ],
)
def test_a_shown_address_contains_no_secret(url: str, shown: str, form: str) -> None:
    opened = open_target(url, None, SECRETS, tls_context(None, None))
    assert opened[1:] == (shown, form)
    opened.target.close()
