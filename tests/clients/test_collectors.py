"""`examples/collectors/`: none of the collectors can be installed here, so their files are only read. What feeds them,
`follow.sh`, is run with faults by `test_examples.py`.
"""

from __future__ import annotations

import yaml

from tests.clients.tools import ROOT

COLLECTORS = ROOT / "examples" / "collectors"


def test_each_collector_uses_a_cursor_and_the_id_of_the_event() -> None:
    """Checked by hand against the published documentation, not run: see the README there."""
    filebeat = yaml.safe_load((COLLECTORS / "filebeat.yml").read_text(encoding="utf-8"))
    (cel,) = filebeat["filebeat.inputs"]
    assert '"cursor": {"next": body.page.next_cursor}' in cel["program"]
    assert cel["redact.fields"] == ["key"]
    assert filebeat["processors"][0]["decode_json_fields"]["document_id"] == "id"
    vector = yaml.safe_load((COLLECTORS / "vector.yaml").read_text(encoding="utf-8"))
    sink = vector["sinks"]["elasticsearch"]
    assert (sink["id_key"], sink["bulk"]["action"], sink["acknowledgements"]["enabled"]) == ("id", "create", True)
    fluent_bit = yaml.safe_load((COLLECTORS / "fluent-bit.yaml").read_text(encoding="utf-8"))
    (output,) = fluent_bit["pipeline"]["outputs"]
    assert (output["id_key"], output["write_operation"]) == ("id", "create")
    assert fluent_bit["pipeline"]["inputs"][0]["db"]
    assert 'document_id => "%{[id]}"' in (COLLECTORS / "logstash.conf").read_text(encoding="utf-8")
