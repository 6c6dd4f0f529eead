"""`audit-gateway verify` and `audit-gateway keys signing`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from app.cli.client import setting
from app.cli.failures import USAGE, Failure


def verify(
    file: Annotated[Path, typer.Argument(help="An export.")],
    jwks: Annotated[
        str | None,
        typer.Option(metavar="URL|FILE", help="The trusted keys. Default: GATEWAY_URL's /.well-known/jwks.json."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The manifest of an export in another format than NDJSON."),
    ] = None,
) -> None:
    """Verify that an exported file is complete and unchanged, and print the signing key.

    Exit code 0: verified. 1: the file differs from the delivered export. 2: invalid arguments.
    """
    from app.evidence.manifest import Refusal, verify_detached
    from app.evidence.manifest import verify as verified

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
    print(f"{file} is whole and unchanged: {verdict.count:,} events in {parts} signed segment{'s' * (parts > 1)}")
    print(f"  window   {first.window['since']} to {first.window['until']}, order {first.order}")
    print(f"  filters  {json.dumps(first.filters, ensure_ascii=False)}")
    for source in last.sources:
        print(f"  source   {source['name']}: {source['status']}, unreadable records: {source['bad_records']}")
    print(f"  signed   {last.as_of} with the key {', '.join(verdict.kids)}")


def signing_key(
    file: Annotated[Path, typer.Option(metavar="FILE", help="The file to create; it must not exist.")],
) -> None:
    """Create an Ed25519 key for GATEWAY_SIGNING_KEY_FILE and print its public key set."""
    from app.evidence.signing import create_key_file

    try:
        key = create_key_file(file)
    except FileExistsError:
        raise Failure(f"{file} exists; a signing key is never overwritten. Give another name", USAGE) from None
    except OSError as error:
        raise Failure(f"{file} cannot be written ({error.strerror})", USAGE) from None
    print(json.dumps(key.jwks(), indent=2))


def _keys(location: str | None) -> dict[str, Any]:
    if location is None:
        url = setting("GATEWAY_URL")
        if not url:
            raise Failure("--jwks is missing: give the key set's URL or file, or set GATEWAY_URL", USAGE)
        location = f"{url.rstrip('/')}/.well-known/jwks.json"
    try:
        if location.startswith(("https://", "http://")):
            answer = httpx.get(location, timeout=20, follow_redirects=True)
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
