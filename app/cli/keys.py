"""`audit-gateway keys` and `audit-gateway verify`."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.table import Table

from app.api.api_keys import append_key, hash_of, make_api_key, new_key, read_keys
from app.cli.failures import INCOMPLETE, USAGE, Failure, print_error
from app.cli.output import print_table, write_bytes
from app.config import check_regular, read_environment, read_text, split
from app.domain.caller import SCOPES
from app.domain.errors import ConfigurationError
from app.domain.times import format_seconds, now_micros
from app.evidence import Refusal, create_key_file, verify_detached
from app.evidence import verify as verified
from app.forward import replace_file
from app.providers.http.network import Network

KeysFile = Annotated[Path, typer.Option(help="The keys file.")]


def make_key(
    name: Annotated[str, typer.Option(help="The caller; appears in the log.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated, such as events:read,pii:read.")],
    file: Annotated[Path, typer.Option(metavar="F", help="The keys file; created if missing.")],
    sources: Annotated[str | None, typer.Option(help="Comma-separated sources. Default: all.")] = None,
    rate: Annotated[str | None, typer.Option(help="Calls, such as 600/minute.")] = None,
    expires: Annotated[str | None, typer.Option(help="Expiry, such as 2027-01-01.")] = None,
) -> None:
    """Create an API key.

    Its hash goes to the file; standard output is only the key, shown once."""
    key = new_key()
    try:
        names = None if sources is None else split(sources)
        record = make_api_key(
            name=name, hash=hash_of(key), scopes=split(scopes), sources=names, rate=rate, expires=expires
        )
    except ValueError as error:
        raise ConfigurationError(f"--{error}.") from None
    if record.expires is not None and record.expires <= now_micros():
        raise ConfigurationError("--expires lies in the past; give a later time.")
    is_second = False
    with suppress(ConfigurationError):  # an unreadable file, which the gateway reports at start
        is_second = name in [other.name for other in read_keys(read_text(file, "--file"), str(file))]
    try:
        _check_writable(file)
        # Print the key first, because it is not stored: a hash of an unprinted key would look usable.
        write_bytes(f"{key}\n".encode())
        append_key(file, record)
    except OSError as error:
        raise ConfigurationError(f"--file: {file} cannot be written ({error.strerror}); no key was added.") from None
    print(f"Added {name} to {file}. Set GATEWAY_API_KEYS_FILE={file} where the gateway runs.", file=sys.stderr)
    for scope in sorted(record.scopes):
        print(f"  {scope:13} {SCOPES[scope]}", file=sys.stderr)
    if is_second:
        print_error(
            f"{file} had a key of the name {name} already, which stays valid: the log shows the same name for both, and"
            f" audit-gateway keys revoke --name {name} removes both"
        )


def list_keys(
    file: KeysFile,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each key's line of the file, without the key.")
    ] = False,
) -> None:
    """List the keys of a file with their grants.

    The keys themselves are not stored."""
    keys = read_keys(read_text(file, "--file"), str(file))
    if as_json:
        for key in keys:
            print(key.line())
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "state", "scopes", "sources", "rate", "hash"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        until = "" if key.expires is None else format_seconds(key.expires)
        state = "valid" if not until else f"expired {until}" if (key.expires or 0) <= now_micros() else f"until {until}"
        sources = "all" if key.sources is None else ", ".join(sorted(key.sources))
        table.add_row(key.name, state, ", ".join(sorted(key.scopes)), sources, key.rate or "-", key.hash[:8])
    print_table(table)


def revoke_keys(
    name: Annotated[str, typer.Option(help="The key's name; all keys of this name are removed.")], file: KeysFile
) -> None:
    """Remove a caller's keys from a file.

    A running gateway reads the change without a restart."""
    text = read_text(file, "--file")
    names = [key.name for key in read_keys(text, str(file))]
    if name not in names:
        others = ", ".join(sorted({*names})) or "none"
        raise ConfigurationError(f"{file} has no key of the name {name}; it has {others}.")
    kept = [line for line in text.splitlines() if all(key.name != name for key in read_keys(line, str(file)))]
    replace_file(file, "".join(f"{line}\n" for line in kept), mode=stat.S_IMODE(file.stat().st_mode))
    keys, them = ("1 key", "it") if names.count(name) == 1 else (f"{names.count(name)} keys", "them")
    print(f"Revoked {keys} of {name}; a running gateway refuses {them} within a second.", file=sys.stderr)


def _check_writable(file: Path) -> None:
    """Raises OSError if `file` can be neither written nor created. Changes nothing."""
    try:
        check_regular(file)
        os.close(os.open(file, os.O_RDWR))
    except FileNotFoundError:
        if not file.parent.is_dir():
            raise
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


def verify(
    file: Annotated[Path, typer.Argument(help="An export.")],
    jwks: Annotated[
        str | None,
        typer.Option(metavar="URL|FILE", help="The trusted keys. Default: GATEWAY_URL's /.well-known/jwks.json."),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The manifest of an export in another format than NDJSON.")
    ] = None,
) -> int:
    """Verify that an export is complete and unchanged.

    Prints the signing key. Exit code 0: verified. 1: the file differs from the delivered export. 2: invalid arguments.
    3: unchanged, but unreadable records were left out of it, or its provider contradicted itself.
    """
    keys = _keys(jwks)
    try:
        with file.open("rb") as lines:
            if manifest is None:
                verdict = verified(lines, keys)
            else:
                chunks = iter(lambda: lines.read(1 << 20), b"")
                verdict = verify_detached(chunks, manifest.read_text(errors="replace"), keys)
    except OSError as error:
        raise Failure(f"{error.filename or file} cannot be read ({error.strerror})", USAGE) from None
    except Refusal as refusal:
        raise Failure(f"{file} is NOT verified: {refusal}") from None
    first, last = verdict.manifests[0], verdict.manifests[-1]
    parts = len(verdict.manifests)
    state = "whole and unchanged" if last.complete else "unchanged, but events may be missing"
    print(f"{file} is {state}: {verdict.count:,} events in {parts} signed segment{'s' * (parts > 1)}")
    print(f"  window   {first.window['since']} to {first.window['until']}, order {first.order}")
    print(f"  filters  {json.dumps(first.filters, ensure_ascii=False)}")
    found = [source for manifest in verdict.manifests for source in manifest.sources]
    for name in dict.fromkeys(source["name"] for source in found):
        own = [source for source in found if source["name"] == name]
        states = ", ".join(dict.fromkeys(source["status"] for source in own))
        reasons = "".join(f", {reason}" for reason in dict.fromkeys(source.get("reason") for source in own) if reason)
        print(f"  source   {name}: {states}, unreadable records: {sum(one['bad_records'] for one in own)}{reasons}")
    print(f"  signed   {last.as_of} with the key {', '.join(verdict.kids)}")
    return 0 if last.complete else INCOMPLETE


def signing_key(
    file: Annotated[Path, typer.Option(metavar="FILE", help="The file to create; it must not exist.")],
) -> None:
    """Create a key for signed exports (Ed25519).

    Prints the public key set. GATEWAY_SIGNING_KEY_FILE names the file."""
    try:
        key = create_key_file(file)
    except FileExistsError:
        raise Failure(f"{file} exists; a signing key is never overwritten. Give another name", USAGE) from None
    except OSError as error:
        raise Failure(f"{file} cannot be written ({error.strerror})", USAGE) from None
    print(json.dumps(key.jwks(), indent=2))


def _keys(location: str | None) -> dict[str, Any]:
    if location is None:
        url = read_environment().get("GATEWAY_URL")
        if not url:
            raise Failure("--jwks is missing: give the key set's URL or file, or set GATEWAY_URL", USAGE)
        location = f"{url.rstrip('/')}/.well-known/jwks.json"
    try:
        if location.startswith(("https://", "http://")):
            options = Network(read_environment()).client_options(location)
            answer = httpx.get(location, timeout=20, follow_redirects=True, **options)
            answer.raise_for_status()
            found = answer.json()
        else:
            found = json.loads(Path(location).read_text(encoding="utf-8-sig"))
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise Failure(f"--jwks: {location} cannot be read ({type(error).__name__})", USAGE) from None
    except ValueError:
        raise Failure(f"--jwks: {location} is not JSON", USAGE) from None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list) or not found["keys"]:
        raise Failure(f"--jwks: {location} holds no keys", USAGE)
    return found
