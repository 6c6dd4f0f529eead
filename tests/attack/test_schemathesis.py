"""All checks of schemathesis with valid and invalid requests of every operation of the OpenAPI document."""

import io
import json
import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import SchemathesisConfig

from app.cli.main import openapi_text
from tests.api.conftest import bearer

pytest_plugins = ["schemathesis.pytest.plugin"]  # here only, because its import takes a second
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
LISTEN = 5 if "FUZZ_EXAMPLES" in os.environ else 0.4  #: seconds to wait for an event of a stream
TOO_LONG = b"Invalid HTTP request received."  #: uvicorn's response to a URL of more than 64 KiB

config = SchemathesisConfig.from_dict(
    {
        "checks": {
            # A text that fits the schema may be no cursor, two valid times may be in the wrong order, and the sources
            # of the examples are not those of this server.
            "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "414", "422"]},
            # A parameter beyond its bound may make the URL too long.
            "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "404", "414", "422"]},
        },
        # A stream does not end: schemathesis disconnects after the first event, or at the timeout.
        "max-stream-events": 1,
    }
)
schema = schemathesis.openapi.from_dict(json.loads(openapi_text()), config=config)


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_responses_match_the_document(case: schemathesis.Case, url: str, log: io.StringIO) -> None:
    timeout = LISTEN if case.path.endswith("/stream") else 30
    response = case.call(base_url=url, headers=bearer(), timeout=timeout)
    if response.content != TOO_LONG:
        case.validate_response(response)
    assert "unexpected_error" not in log.getvalue()


@pytest.mark.parametrize("path", json.loads(openapi_text())["paths"])
def test_every_path_is_tested(path: str) -> None:
    tried = {operation.ok().path for operation in schema.get_all_operations()}
    assert path in tried
