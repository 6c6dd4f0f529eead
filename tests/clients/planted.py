"""Changes to the OpenAPI document that break its clients (PLANTED), and such that do not (HARMLESS), by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Change = Callable[[Json], object]

PLANTED: dict[str, Change] = {}
HARMLESS: dict[str, Change] = {}


def planted(change: Change) -> Change:
    PLANTED[change.__name__] = change
    return change


def harmless(change: Change) -> Change:
    HARMLESS[change.__name__] = change
    return change


def fields(document: Json, schema: str) -> Json:
    found: Json = document["components"]["schemas"][schema]["properties"]
    return found


def operation(document: Json, path: str = "/events") -> Json:
    found: Json = document["paths"][path]["get"]
    return found


def parameter(document: Json, name: str) -> Json:
    found: Json = next(one for one in operation(document)["parameters"] if one["name"] == name)
    return found


def new_parameter(required: bool) -> Json:
    return {"name": "tenant", "in": "query", "required": required, "schema": {"type": "string"}}


@planted
def an_operation_is_gone(document: Json) -> object:
    return document["paths"].pop("/events/count")


@planted
def a_path_is_renamed(document: Json) -> object:
    return document["paths"].update({"/types": document["paths"].pop("/event-types")})


@planted
def the_paths_moved(document: Json) -> object:
    return document.update(servers=[{"url": "/v2"}])


@planted
def a_field_is_gone(document: Json) -> object:
    document["components"]["schemas"]["Event"]["required"].remove("user_agent")
    return fields(document, "Event").pop("user_agent")


@planted
def a_field_is_renamed(document: Json) -> object:
    return fields(document, "Event").update(agent=fields(document, "Event").pop("user_agent"))


@planted
def a_field_may_be_absent(document: Json) -> object:
    return document["components"]["schemas"]["Event"]["required"].remove("user_agent")


@planted
def a_field_may_be_null(document: Json) -> object:
    return fields(document, "Event")["provider"].update(type=["string", "null"])


@planted
def a_field_of_another_schema_may_be_null(document: Json) -> object:
    null = {"anyOf": [{"$ref": "#/components/schemas/Actor"}, {"type": "null"}]}
    return fields(document, "Event").update(actor=null)


@planted
def a_field_has_another_type(document: Json) -> object:
    return fields(document, "PageInfo")["limit"].update(type="string")


@planted
def a_time_is_any_text(document: Json) -> object:
    return fields(document, "Event")["occurred_at"].pop("format")


@planted
def an_open_string_is_closed(document: Json) -> object:
    return fields(document, "Event")["type"].update(enum=["recipient.signed", "unknown"])


@planted
def a_parameter_is_gone(document: Json) -> object:
    return operation(document)["parameters"].remove(parameter(document, "q"))


@planted
def a_parameter_is_renamed(document: Json) -> object:
    return parameter(document, "q").update(name="query")


@planted
def a_parameter_moved_to_the_headers(document: Json) -> object:
    return parameter(document, "q").update({"in": "header"})


@planted
def a_new_parameter_is_required(document: Json) -> object:
    return operation(document)["parameters"].append(new_parameter(required=True))


@planted
def a_parameter_became_required(document: Json) -> object:
    return parameter(document, "since").update(required=True)


@planted
def a_parameter_has_another_type(document: Json) -> object:
    return parameter(document, "limit").update(schema={"type": "string"})


@planted
def a_parameter_repeats_no_more(document: Json) -> object:
    return parameter(document, "type").update(schema={"type": "string"})


@planted
def a_list_is_written_otherwise(document: Json) -> object:
    return parameter(document, "type").update(explode=False)


@planted
def a_parameter_is_a_closed_choice(document: Json) -> object:
    return parameter(document, "category")["schema"]["items"].update(enum=["envelope"])


@planted
def a_bound_is_tighter(document: Json) -> object:
    return parameter(document, "limit")["schema"].update(maximum=100)


@planted
def a_choice_is_gone(document: Json) -> object:
    return parameter(document, "order")["schema"].update(pattern="^(desc)$")


@planted
def an_operation_is_called_otherwise(document: Json) -> object:
    return operation(document).update(operationId="read_events")


@planted
def a_security_scheme_is_gone(document: Json) -> object:
    document["security"] = [{"bearer": []}]
    return document["components"]["securitySchemes"].pop("apiKey")


@planted
def a_key_goes_in_another_header(document: Json) -> object:
    return document["components"]["securitySchemes"]["apiKey"].update(name="X-Key")


@planted
def both_keys_are_needed(document: Json) -> object:
    return document.update(security=[{"bearer": [], "apiKey": []}])


@planted
def an_open_operation_needs_a_key(document: Json) -> object:
    return operation(document, "/health/live").pop("security")


@planted
def a_status_is_gone(document: Json) -> object:
    return operation(document)["responses"].pop("429")


@planted
def a_media_type_is_gone(document: Json) -> object:
    return operation(document, "/events/export")["responses"]["200"]["content"].pop("text/csv")


@planted
def a_header_is_gone(document: Json) -> object:
    return operation(document)["responses"]["200"]["headers"].pop("Link")


@harmless
def nothing(document: Json) -> object:
    return None


@harmless
def a_new_operation(document: Json) -> object:
    answer = {"200": {"description": "It is."}}
    return document["paths"].update({"/new": {"get": {"operationId": "read_new", "responses": answer}}})


@harmless
def a_new_field(document: Json) -> object:
    document["components"]["schemas"]["Event"]["required"].append("severity")
    return fields(document, "Event").update(severity={"type": "string", "description": "How bad it is."})


@harmless
def a_new_schema_in_a_new_field(document: Json) -> object:
    shape = {
        "type": "object",
        "description": "A place.",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    document["components"]["schemas"]["Place"] = shape
    return fields(document, "Actor").update(place={"anyOf": [{"$ref": "#/components/schemas/Place"}, {"type": "null"}]})


@harmless
def a_new_parameter(document: Json) -> object:
    return operation(document)["parameters"].insert(0, new_parameter(required=False))


@harmless
def another_order(document: Json) -> object:
    document["components"]["schemas"]["Event"]["required"].reverse()
    return operation(document)["parameters"].reverse()


@harmless
def other_words(document: Json) -> object:
    document["info"].update(description="Other.", version="9.0.0")
    document["components"]["examples"] = {}
    operation(document).update(summary="Other.", description="Other.", tags=["other"])
    fields(document, "Event")["type"].update(description="Other.", examples=["other"])
    return parameter(document, "type").update(description="Other.")


@harmless
def a_looser_bound(document: Json) -> object:
    parameter(document, "order")["schema"].pop("pattern")
    return parameter(document, "limit")["schema"].update(maximum=5000)


@harmless
def a_new_status(document: Json) -> object:
    return operation(document)["responses"].update({"418": {"description": "Tea."}})


@harmless
def a_new_media_type(document: Json) -> object:
    content = operation(document, "/events/export")["responses"]["200"]["content"]
    return content.update({"application/vnd.parquet": {"schema": {"type": "string"}}})


@harmless
def one_more_way_to_authenticate(document: Json) -> object:
    document["components"]["securitySchemes"]["basic"] = {"type": "http", "scheme": "basic"}
    return document["security"].append({"basic": []})
