"""`audit-gateway keys new`, as far as no gateway is needed."""

import subprocess
from pathlib import Path

import pytest

from app.api.api_keys import ApiKey
from tests.cli.served import call
from tests.process import COMMAND, environment

NEW = ("keys", "new", "--name", "siem", "--scopes", "events:read", "--file", "keys.jsonl")


def test_a_second_key_of_one_name_is_made_with_a_warning(tmp_path: Path) -> None:
    def make(name: str) -> list[str]:
        made = call(
            "keys", "new", "--name", name, "--scopes", "events:read", "--file", "keys.jsonl", env={}, cwd=tmp_path
        )
        assert made.returncode == 0
        assert made.stdout.startswith("agw_")
        _added, scope, *more = made.stderr.splitlines()
        assert scope.split()[0] == "events:read", "each scope's grant is printed"
        return more

    assert make("siem") == make("siem-2") == []
    (warning,) = make("siem")
    assert warning.startswith("audit-gateway: keys.jsonl had a key of the name siem already")
    file = tmp_path / "keys.jsonl"
    assert len(file.read_text().splitlines()) == 3
    # A line that is wrong is the gateway's to complain of.
    file.write_text("{\n")
    assert make("siem") == []


def run_into_a_full_disk(*arguments: str, cwd: Path) -> tuple[int, str]:
    """The exit code, and standard error."""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [COMMAND, *arguments],
            # As in a shell: what is printed waits in a buffer, and may fail only when the interpreter ends.
            env={name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"},
            cwd=cwd, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    return ended.returncode, ended.stderr


def test_a_key_that_cannot_be_shown_is_not_made(tmp_path: Path) -> None:
    said = "audit-gateway: standard output cannot be written (No space left on device).\n"
    assert run_into_a_full_disk(*NEW, cwd=tmp_path) == (1, said)
    assert list(tmp_path.iterdir()) == []
    assert call(*NEW, env={}, cwd=tmp_path).returncode == 0
    before = (tmp_path / "keys.jsonl").read_bytes()
    assert run_into_a_full_disk(*NEW, cwd=tmp_path) == (1, said)
    assert (tmp_path / "keys.jsonl").read_bytes() == before


def test_a_key_whose_file_cannot_be_made_is_not_shown(tmp_path: Path) -> None:
    ended = call(*NEW[:-1], "absent/keys.jsonl", env={}, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("audit-gateway: --file: absent/keys.jsonl cannot be written (No such file")


def test_a_device_is_no_file_of_keys(tmp_path: Path) -> None:
    """Found here: /dev/full was read without end."""
    ended = call(*NEW[:-1], "/dev/full", env={}, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    said = "audit-gateway: --file: /dev/full cannot be written (not a regular file); no key was added."
    assert ended.stderr.strip() == said


def test_a_closed_standard_output_is_one_line(tmp_path: Path) -> None:
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
    assert list(tmp_path.iterdir()) == [], "no key that nobody has seen"


@pytest.mark.parametrize("command", [("openapi",), ("--help",)])
def test_standard_output_that_is_full_is_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    said = "audit-gateway: standard output cannot be written (No space left on device).\n"
    assert run_into_a_full_disk(*command, cwd=tmp_path) == (1, said)


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
