"""Values that can match nothing are named, with the nearest that can (contract, section 3)."""

from typing import Any

import pytest

from app.domain.query import Query
from app.feed.warnings import warnings_of
from app.providers.registry import find_providers

PROVIDERS = find_providers()


class AnySource:
    """A source that reads whatever is asked for."""

    def __init__(self, provider: str) -> None:
        self.name = self.provider = provider

    def streams(self, query: Query) -> list[str]:
        return [] if query.workspace_id == "none" or query.category_not == ("all",) else ["all"]


@pytest.mark.parametrize(
    ("providers", "given", "message"),
    [
        ("taktikal subnoto", {"provider_type": "SigneSigned"}, "is not a known provider type; did you mean Signe"),
        ("taktikal subnoto", {"provider_type": "XXXX"}, "XXXX is not a known provider type"),
        ("taktikal subnoto", {"provider_type.not": "XXXX"}, "XXXX is not a known provider type"),
        ("subnoto", {"provider_type": "SigneeSigned"}, "SigneeSigned does not occur in these sources"),
        ("subnoto", {"provider_type": "SMS:DELIVERED"}, "SMS:DELIVERED does not occur in these sources"),
        ("taktikal", {"provider_type": "DOCUMENT_SIGNED"}, "DOCUMENT_SIGNED does not occur in these sources"),
        ("taktikal subnoto", {"provider_type": "SigneeSigned"}, None),
        ("taktikal subnoto", {"provider_type.not": "DOCUMENT_SIGNED"}, None),
        ("taktikal", {"provider_type": "SMS:DELIVERED"}, None),
        ("taktikal", {"provider_type": "SalesPerson:delivered"}, None),
        ("taktikal", {"provider_type": "SMS:QUEUED"}, "SMS:QUEUED is not a known provider type"),
        ("subnoto", {"source.not": "subnot"}, "subnot is not a known source; did you mean subnoto?"),
        ("subnoto", {"source.not": "taktikal"}, None),
        ("subnoto", {"category.not": "all"}, "no event of these sources passes category.not"),
        ("subnoto", {"recipient": "Anna Jones"}, "neither a recipient id nor an e-mail address; person finds names"),
        ("subnoto", {"recipient": "rcp_1"}, None),
        ("subnoto", {"workspace_id": "none"}, "none is not a workspace id of these sources"),
    ],
)
def test_values_that_match_nothing(providers: str, given: dict[str, str], message: str | None) -> None:
    ((name, value),) = given.items()
    query = Query.model_validate({name: value if name in ("workspace_id", "recipient") else (value,)})
    sources: Any = [AnySource(provider) for provider in providers.split()]
    found = warnings_of(query, sources, list(PROVIDERS), {one.name: one.mapping for one in PROVIDERS.values()})
    assert [(one.parameter, one.value) for one in found] == ([(name, value)] if message else [])
    assert not message or message in found[0].message
