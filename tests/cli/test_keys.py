"""`audit-gateway keys`: new, list and revoke."""

import subprocess
from pathlib import Path

import pytest

from app.api.api_keys import ApiKey
from tests.cli.served import call
from tests.process import COMMAND, environment

NEW = ("keys", "new", "--name", "siem", "--scopes", "events:read", "--file", "keys.jsonl")
DISK_IS_FULL = "audit-gateway: standard output cannot be written (No space left on device).\n"


def test_a_second_key_of_one_name_prints_a_warning(tmp_path: Path) -> None:
    def make(name: str) -> list[str]:
        made = call(*NEW, "--name", name, env={}, cwd=tmp_path)
        assert made.returncode == 0
        assert made.stdout.startswith("agw_")
        _added, scope, *more = made.stderr.splitlines()
        assert scope.split()[0] == "events:read", "the grant of each scope is printed"
        return more

    assert make("siem") == make("siem-2") == []
    (warning,) = make("siem")
    assert warning.startswith("audit-gateway: keys.jsonl had a key of the name siem already")
    file = tmp_path / "keys.jsonl"
    assert len(file.read_text().splitlines()) == 3
    # Only the gateway reports an invalid line.
    file.write_text("{\n")
    assert make("siem") == []


def run_into_a_full_disk(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Return the exit code and standard error."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [COMMAND, *arguments],
            # Buffered as in a shell: the write may fail only when the interpreter ends.
            env={name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"},
            cwd=cwd, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    return ended.returncode, ended.stderr


def test_a_key_that_cannot_be_printed_is_not_added(tmp_path: Path) -> None:
    assert run_into_a_full_disk(*NEW, cwd=tmp_path) == (1, DISK_IS_FULL)
    assert list(tmp_path.iterdir()) == []
    assert call(*NEW, env={}, cwd=tmp_path).returncode == 0
    before = (tmp_path / "keys.jsonl").read_bytes()
    assert run_into_a_full_disk(*NEW, cwd=tmp_path) == (1, DISK_IS_FULL)
    assert (tmp_path / "keys.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("file", "reason"),
    [("absent/keys.jsonl", "No such file or directory"), ("/dev/full", "not a regular file")],  # once read forever
)
def test_a_key_whose_file_cannot_be_written_is_not_printed(tmp_path: Path, file: str, reason: str) -> None:
    ended = call(*NEW[:-1], file, env={}, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"audit-gateway: --file: {file} cannot be written ({reason}); no key was added.\n"


def test_a_closed_standard_output_prints_one_line(tmp_path: Path) -> None:
    script = [f'exec "{COMMAND}" "$@" >&-', "sh", *NEW]
    ended = subprocess.run(
        ["sh", "-c", *script],
        env=environment(),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (
        1, "audit-gateway: standard output is closed; send it to a file or a pipe.\n",
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == [], "no key is added"


@pytest.mark.parametrize("command", [("openapi",), ("--help",)])
def test_a_full_standard_output_prints_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert run_into_a_full_disk(*command, cwd=tmp_path) == (1, DISK_IS_FULL)


def test_keys_are_listed_and_revoked(tmp_path: Path) -> None:
    keys = tmp_path / "keys.jsonl"
    a, b = [ApiKey(name, name * 64, frozenset({"events:read"})).line() for name in "ab"]
    keys.write_text(f"\ufeff# by hand\n{a}\n{b}\n", encoding="utf-8")
    keys.chmod(0o640)
    assert call(*NEW, env={}, cwd=tmp_path).returncode == 0
    listed = call("keys", "list", "--file", "keys.jsonl", env={}, cwd=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["name", "a", "b", "siem"]
    assert call("keys", "revoke", "--name", "a", "--file", "keys.jsonl", env={}, cwd=tmp_path).returncode == 0
    assert keys.stat().st_mode & 0o777 == 0o640
    assert keys.read_text().splitlines()[:2] == ["# by hand", b]
    again = call("keys", "revoke", "--name", "a", "--file", "keys.jsonl", env={}, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (
        2, "audit-gateway: keys.jsonl has no key of the name a; it has b, siem.\n"
    )  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys.jsonl"]
