"""`audit-gateway keys new`, as far as no gateway is needed."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.process import run


def test_a_second_key_of_one_name_is_made_with_a_warning(tmp_path: Path) -> None:
    def make(name: str) -> list[str]:
        made = run("keys", "new", "--name", name, "--scopes", "events:read", "--file", "keys.jsonl", cwd=tmp_path)
        assert made.returncode == 0
        assert made.stdout.startswith("agw_")
        return made.stderr.splitlines()[1:]

    assert make("siem") == make("siem-2") == []
    (warning,) = make("siem")
    assert warning.startswith("audit-gateway: keys.jsonl had a key of the name siem already")
    file = tmp_path / "keys.jsonl"
    assert len(file.read_text().splitlines()) == 3
    # A line that is wrong is the gateway's to complain of.
    file.write_text("{\n")
    assert make("siem") == []
