"""What ServiceStack tells about its types at `/types/metadata`, cut down to what concerns the activity log.

Source: ServiceStack's documentation, "Metadata"; names of FlowType and StatusFilter from the vendor's Swagger and page.
"""

from typing import Any

from .options import EmulatorOptions
from .query import STATUS_FILTERS
from .records import FLOW_TYPES


def types_metadata(options: EmulatorOptions) -> dict[str, Any]:
    """The document of this server: its request types, and its enumerations with their values."""
    current = options.calls == "current"
    names = ["StartDate", "EndDate", "User", "FlowType", "FlowKey", "Take", "Skip"]
    names += ["ProcessKey", "Search", "StatusFilter"] if current else []
    properties: list[dict[str, Any]] = [
        {"name": name, "type": "String", "isRequired": "Date" in name} for name in names
    ]
    if options.max_take is not None:
        for one in properties:
            if one["name"] == "Take":
                one |= {"type": "Int32", "allowableMin": 1, "allowableMax": options.max_take}
    request = {
        "request": {"name": "GetSigningActivity", "properties": properties},
        "routes": [{"path": "/signing/activity"}],
    }
    operations = [request]
    if current:
        operations.append(
            {"request": {"name": "GetSigningActivityTotal"}, "routes": [{"path": "/signing/activity/total"}]}
        )
    enums = [{"name": "FlowType", "isEnum": True, "enumNames": list(FLOW_TYPES)}]
    if current:
        enums.append({"name": "StatusFilter", "isEnum": True, "enumNames": list(STATUS_FILTERS)})
    return {"config": {}, "namespaces": [], "types": enums, "operations": operations}
