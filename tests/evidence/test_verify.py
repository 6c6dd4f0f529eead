"""Signed exports: an independent JOSE library verifies them, and every change to a file is refused."""

import hashlib
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from jwcrypto import jwk, jws

from app.api.routes.manifests import _read, _write
from app.api.schemas import PublicKeys
from app.evidence import Refusal, SigningKey, create_key_file, verify, verify_detached
from tests.api.conftest import bearer, make_app, opened
from tests.api.gateways import last_line
from tests.api.memory import memory_source
from tests.cli.served import call
from tests.process import serving

EVENTS = 230
WINDOW = {"since": "2001-01-01", "until": "2100-01-01"}


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "signing.pem"
    create_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def gateway(key_file: Path | None) -> FastAPI:
    settings = {} if key_file is None else {"signing_key_file": key_file}
    return make_app([memory_source(EVENTS)], **settings)


async def exported(key_file: Path, **parameters: Any) -> tuple[bytes, dict[str, Any]]:
    """Return an export as one file, of as many segments as `limit` makes, and the key set."""
    app = gateway(key_file)
    file, query = b"", {**WINDOW, **parameters}
    async with opened(app) as http:
        keys = (await http.get("/.well-known/jwks.json")).json()
        while True:
            response = await http.get("/events/export", params=query)
            assert response.status_code == 200, response.text
            file += response.content
            end = last_line(response)
            if end["cursor"] is None:
                return file, keys
            query = {"cursor": end["cursor"], **parameters}


async def test_an_independent_library_verifies_the_manifest(key_file: Path) -> None:
    file, keys = await exported(key_file)
    lines = file.splitlines(keepends=True)
    end = json.loads(lines[-1])
    signed = jws.JWS()
    signed.deserialize(end["manifest"])
    public = jwk.JWK(**keys["keys"][0])
    signed.verify(public)
    manifest = json.loads(signed.payload)
    assert signed.jose_header["kid"] == public.thumbprint() == keys["keys"][0]["kid"]
    assert "d" not in keys["keys"][0]
    assert manifest["sha256"] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    ids = [json.loads(line)["id"] for line in lines[:-1]]
    assert (manifest["count"], manifest["first_id"], manifest["last_id"]) == (EVENTS, ids[0], ids[-1])
    assert manifest["window"] == {"since": "2001-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    assert manifest["sources"] == [{"name": "north", "status": "ok", "bad_records": 0}]
    assert (manifest["complete"], manifest["resumed_from"], manifest["next"]) == (True, None, None)


@pytest.mark.parametrize("limit", [None, 1000, 100, 115, 23])
async def test_a_file_of_any_number_of_segments_verifies(key_file: Path, limit: int | None) -> None:
    file, keys = await exported(key_file, **({} if limit is None else {"limit": limit}))
    verdict = verify(file.splitlines(keepends=True), keys)
    assert verdict.count == EVENTS
    assert len(verdict.manifests) == (1 if limit is None else -(-EVENTS // limit))


async def test_every_change_is_refused(key_file: Path, tmp_path: Path) -> None:
    file, keys = await exported(key_file, limit=100)
    lines = file.splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if b'"complete"' in line]
    assert ends == [100, 201, 232]
    bit = bytearray(lines[7])
    bit[40] ^= 1
    foreign = create_key_file(tmp_path / "foreign.pem")
    foreign_end = _with_manifest(lines[ends[2]], foreign, keys)
    other, _ = await exported(key_file, type="envelope.completed")
    changed: dict[str, tuple[list[bytes], str]] = {
        "a flipped bit": ([*lines[:7], bytes(bit), *lines[8:]], "SHA-256 differs"),
        "a missing line": ([*lines[:7], *lines[8:]], "counts 100 events, the file has 99"),
        "two lines exchanged": ([*lines[:7], lines[8], lines[7], *lines[9:]], "SHA-256 differs"),
        "a line twice": ([*lines[:8], lines[7], *lines[8:]], "the file has 101"),
        "a missing segment": ([*lines[:101], *lines[202:]], "does not continue"),
        "a missing beginning": (lines[101:], "began earlier"),
        "segments exchanged": ([*lines[101:202], *lines[:101], *lines[202:]], "began earlier"),
        "a missing end": (lines[:202], "not complete"),
        "a stale manifest after a resume": ([*lines[:101], *lines[101:150]], "no manifest after them"),
        "lines added behind the end": ([*lines, lines[3]], "no manifest after them"),
        "a manifest taken away": ([*lines[:100], *lines[101:]], "counts 100 events, the file has 200"),
        "a foreign key": ([*lines[:232], foreign_end], "not among the trusted keys"),
        "the same export twice": ([*lines, *lines], "follows a complete one"),
        "another export behind it": ([*lines, *other.splitlines(keepends=True)], "follows a complete one"),
        "nothing": ([], "empty"),
    }
    for name, (changed_lines, why) in changed.items():
        assert why in refusal(changed_lines, keys), name
    for number in ends:
        for position in range(0, lines[number].index(b'"manifest"'), 3):
            flipped = bytearray(lines[number])
            flipped[position] ^= 1
            assert refusal([*lines[:number], bytes(flipped), *lines[number + 1 :]], keys), (number, position)
    for added in (b'"notes":{"north":"x"},', b'"reason":"limit",'):
        for position in (b'"manifest"', b'"complete"'):
            end = lines[ends[2]].replace(position, added + position)
            assert "the last line was changed" in refusal([*lines[:232], end], keys)
    assert verify(lines, keys).count == EVENTS


def refusal(lines: list[bytes], keys: dict[str, Any]) -> str:
    with pytest.raises(Refusal) as caught:
        verify(lines, keys)
    return str(caught.value)


def _with_manifest(end: bytes, key: SigningKey, keys: dict[str, Any]) -> bytes:
    body = json.loads(end)
    signed = jws.JWS()
    signed.deserialize(body["manifest"])
    signed.verify(jwk.JWK(**keys["keys"][0]))
    return json.dumps(body | {"manifest": key.sign(signed.payload)}, separators=(",", ":")).encode() + b"\n"


def test_each_worker_has_the_manifest_of_an_export(key_file: Path, tmp_path: Path) -> None:
    env = {"GATEWAY_SIGNING_KEY_FILE": str(key_file)}
    arguments = ["--sandbox", "--sandbox-events", "60", "--workers", "2"]
    get = partial(httpx.get, headers={"Authorization": "Bearer sandbox"}, timeout=60)
    with serving(*arguments, cwd=tmp_path, env=env) as running:
        response = get(f"{running.url}/events/export", params={"format": "csv"})
        url = running.url + response.headers["export-manifest"]
        # A new connection each time, so that both workers are called.
        manifests = {get(url).text for _ in range(20)}
        escaped = get(f"{running.url}/events/export/manifests/..%2Fmanifests")
        keys = get(f"{running.url}/.well-known/jwks.json").json()
    (manifest,) = manifests
    assert verify_detached([response.content], manifest, keys).count > 0
    assert escaped.status_code == 404


def test_old_manifests_of_workers_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.routes.manifests._MANIFESTS", 10)
    for number in range(15):
        _write(tmp_path, str(number), "manifest")
    assert len(list(tmp_path.iterdir())) == 10
    assert _read(tmp_path / "14") == "manifest"
    os.utime(tmp_path / "14", (0, 0))
    assert _read(tmp_path / "14") is None
    assert _read(tmp_path / "none") is None


@pytest.mark.parametrize("form", ["csv", "ocsf", "cloudevents", "ecs"])
async def test_other_formats_have_a_detached_manifest(key_file: Path, tmp_path: Path, form: str) -> None:
    app = gateway(key_file)
    async with opened(app) as http:
        keys = (await http.get("/.well-known/jwks.json")).json()
        response = await http.get("/events/export", params={**WINDOW, "format": form})
        other = await http.get("/events/export", params={**WINDOW, "format": form, "order": "asc"})
        manifest = await http.get(response.headers["export-manifest"])
        assert (manifest.status_code, manifest.headers["content-type"]) == (200, "application/jose")
        foreign = await http.get(response.headers["export-manifest"], headers=bearer("plain"))
        assert foreign.status_code == (await http.get("/events/export/manifests/none")).status_code == 404
        assert "export-manifest" not in (await http.get("/events/export", params=WINDOW)).headers
        limited = await http.get("/events/export", params={**WINDOW, "format": form, "limit": 3})
        of_limited = await http.get(limited.headers["export-manifest"])
        cursor = (await http.get("/events", params={**WINDOW, "limit": 3})).json()["page"]["next_cursor"]
        resumed = await http.get("/events/export", params={"cursor": cursor, "format": form})
        of_resumed = await http.get(resumed.headers["export-manifest"])
    with pytest.raises(Refusal, match="began earlier"):
        verify_detached([resumed.content], of_resumed.text, keys)
    with pytest.raises(Refusal, match="ended at its limit"):
        verify_detached([limited.content], of_limited.text, keys)
    verdict = verify_detached([response.content[:70], response.content[70:]], manifest.text, keys)
    assert (verdict.count, verdict.manifests[0].format) == (EVENTS, form)
    bit = bytearray(response.content)
    bit[900] ^= 1
    for changed_lines in (bytes(bit), response.content[:-1], other.content, b""):
        with pytest.raises(Refusal, match="SHA-256 differs"):
            verify_detached([changed_lines], manifest.text, keys)
    with pytest.raises(Refusal, match="it is no JWS"):
        verify_detached([response.content], foreign.text, keys)
    with pytest.raises(Refusal, match="not among the trusted keys"):
        verify_detached([response.content], manifest.text, create_key_file(tmp_path / "foreign.pem").jwks())
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "file").write_bytes(response.content)
    (tmp_path / "file.jws").write_text(manifest.text + "\n")
    without = call("verify", "file", "--jwks", "keys.json", env={}, cwd=tmp_path)
    assert without.returncode == 1
    assert "a format other than NDJSON has its manifest in another file (--manifest)." in without.stderr
    good = call("verify", "file", "--jwks", "keys.json", "--manifest", "file.jws", env={}, cwd=tmp_path)
    assert "whole and unchanged: 230 events" in good.stdout


async def test_verify_prints_what_is_missing_in_any_segment(key_file: Path, tmp_path: Path) -> None:
    source = memory_source(EVENTS)
    source.bad_records, source.reason = 2, "times run back"
    async with opened(make_app([source], signing_key_file=key_file)) as http:
        (tmp_path / "keys.json").write_text((await http.get("/.well-known/jwks.json")).text)
        first = (await http.get("/events/export", params={**WINDOW, "limit": 200})).content
        source.bad_records, source.reason = 0, None
        cursor = json.loads(first.splitlines()[-1])["cursor"]
        (tmp_path / "file").write_bytes(first + (await http.get("/events/export", params={"cursor": cursor})).content)
    verified = call("verify", "file", "--jwks", "keys.json", env={}, cwd=tmp_path)
    assert "  source   north: ok, unreadable records: 2, envelope: times run back\n" in verified.stdout
    assert f"file is unchanged, but events may be missing: {EVENTS} events in 2 signed" in verified.stdout
    assert verified.returncode == 3


async def test_a_joined_export_is_not_complete_if_one_segment_was_unproven(key_file: Path, tmp_path: Path) -> None:
    source = memory_source(EVENTS)
    async with opened(make_app([source], signing_key_file=key_file)) as http:
        keys = (await http.get("/.well-known/jwks.json")).json()
        file, cursor, manifests = b"", None, []
        for source.unproven in (False, True, False):
            query = WINDOW if cursor is None else {"cursor": cursor}
            file += (segment := (await http.get("/events/export", params={**query, "limit": 100})).content)
            cursor = json.loads(segment.splitlines()[-1])["cursor"]
        manifests = verify(file.splitlines(keepends=True), keys).manifests
    assert (cursor, len(manifests), manifests[-1].complete) == (None, 3, False)
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    (tmp_path / "file").write_bytes(file)
    verified = call("verify", "file", "--jwks", "keys.json", env={}, cwd=tmp_path)
    assert (verified.returncode, "unchanged, but events may be missing" in verified.stdout) == (3, True)


async def test_the_key_set_has_the_documented_members(key_file: Path) -> None:
    async with opened(gateway(key_file)) as http:
        sent = (await http.get("/.well-known/jwks.json")).json()
    assert msgspec.to_builtins(msgspec.convert(sent, PublicKeys)) == sent


async def test_without_a_key_nothing_is_signed() -> None:
    app = gateway(None)
    async with opened(app) as http:
        assert (await http.get("/.well-known/jwks.json")).json() == {"keys": []}
        response = await http.get("/events/export", params=WINDOW)
    assert "manifest" not in last_line(response)
    assert "not signed" in refusal(response.content.splitlines(keepends=True), {"keys": []})


def test_a_key_is_created_once_and_wrong_ones_are_named(tmp_path: Path) -> None:
    created = call("keys", "signing", "--file", "a.pem", env={}, cwd=tmp_path)
    assert created.returncode == 0
    assert json.loads(created.stdout)["keys"][0]["crv"] == "Ed25519"
    again = call("keys", "signing", "--file", "a.pem", env={}, cwd=tmp_path)
    assert again.returncode == 2
    (tmp_path / "no.pem").write_text("nonsense")
    for path in (tmp_path / "no.pem", tmp_path / "absent.pem", Path("/dev/zero")):
        with pytest.raises(Exception, match="GATEWAY_SIGNING_KEY_FILE"):
            gateway(path)
