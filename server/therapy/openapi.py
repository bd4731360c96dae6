"""The operations beside FHIR, the OpenAPI document built from them, and a page to try them.

https://spec.openapis.org/oas/v3.1.0
"""

from functools import cache
from typing import Any, NamedTuple

from flask import Response

from fhir_b12 import data, plain
from fhir_b12.bundles import to_bundle
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.therapy.html_pages import html_response
from fhir_b12.server.therapy.patient_search import search_patients
from fhir_b12.server.therapy.records import (
    create_record,
    from_fhir,
    plain_response,
    read_record,
    to_fhir,
)
from fhir_b12.server.therapy.timeline import read_timeline
from fhir_b12.server.wire.media_types import FHIR_JSON

Json = dict[str, Any]
_CODE = "$therapy"  #: the interaction in AuditEvents; not a FHIR interaction


class Operation(NamedTuple):
    """A route and the schemas of its bodies."""

    route: Route
    request_schema: str = ""
    response_schema: str = ""
    status: int = 200
    media_type: str = "application/json"  #: of the response


OPERATIONS = (
    Operation(
        Route(_CODE, ("POST",), "/therapy/records", create_record),
        "TherapyRecord", "StoredResources", 201,
    ),
    Operation(
        Route("search-type", ("GET",), "/therapy/patients", search_patients), "", "PatientPage"
    ),
    Operation(
        Route(_CODE, ("GET",), "/therapy/patients/<resource_id>", read_record), "", "Records"
    ),
    Operation(
        Route(_CODE, ("GET",), "/therapy/patients/<resource_id>/timeline", read_timeline),
        "", "Timeline",
    ),
    Operation(
        Route(_CODE, ("POST",), "/therapy/to-fhir", to_fhir),
        "TherapyRecord", "Bundle", media_type=FHIR_JSON,
    ),
    Operation(
        Route(_CODE, ("POST",), "/therapy/from-fhir", from_fhir), "Bundle", "Records"
    ),
)  # fmt: skip


def openapi(context: RequestContext) -> Response:
    """Answer `GET /openapi.json`."""
    return plain_response(openapi_document(context.config.root, is_open=context.config.open))


def try_page(context: RequestContext) -> Response:
    """Answer `GET /therapy`: a page with a form for each operation."""
    root = context.config.root
    document = openapi_document(root, is_open=context.config.open)
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return html_response(
        "try.html", root=root, info=document["info"], operations=operations, indent=_indent
    )


ROUTES = (
    *(operation.route for operation in OPERATIONS),
    Route("openapi", ("GET",), "/openapi.json", openapi, is_public=True),
    Route("therapy", ("GET",), "/therapy", try_page, is_public=True),
)


def _indent(value: Any) -> str:
    return dumps(value, indent=2).decode()


def openapi_document(root: str, *, is_open: bool = False) -> Json:
    """Build the OpenAPI document from the operations and the schema of therapy records.

    Args:
        root: URL of the server.
        is_open: True if no access token is needed.

    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fhir-b12: plain therapy records",
            "version": "1",
            "description": "Vitamin B12 infusion therapy without FHIR; the same data as at /fhir.",
        },
        "servers": [{"url": root}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [] if is_open else [{"token": []}],
    }


def _paths() -> Json:
    paths: Json = {}
    for operation in OPERATIONS:
        route = operation.route
        docstring = (route.handler.__doc__ or "").partition("Raises:")[0]
        summary, _, description = docstring.partition("\n")
        result = _content(operation.response_schema, "success", operation.media_type)
        errors = {
            status: _content("Problem", reason, "application/problem+json")
            for status, reason in _ERRORS
        }
        row: Json = {
            "operationId": route.handler.__name__,
            "summary": summary,
            "description": " ".join(description.split()),
            "responses": {str(operation.status): result} | errors,
        }
        if schema := operation.request_schema:
            body = _content(schema, "the body")
            body["content"]["application/json"]["example"] = _examples()[schema]
            row["requestBody"] = body | {"required": True}
        if "<resource_id>" in route.rule:
            row["parameters"] = [_ID]
        elif route.handler is search_patients:
            row["parameters"] = _search_parameters()
        path = route.rule.replace("<resource_id>", "{id}")
        paths.setdefault(path, {})[route.methods[0].lower()] = row
    return paths


_ID = {
    "name": "id", "in": "path", "required": True, "description": "id of the patient",
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
}  # fmt: skip
_RESULT_PARAMETERS = {
    "_id": "ids, separated by commas", "_lastUpdated": "time of the last change",
    "_count": "matches per page",
    "_sort": "parameters separated by commas, with `-` in descending order",
    "_total": "`accurate` to count all matches", "_page": "from a `next` URL",
}  # fmt: skip


def _search_parameters() -> list[Json]:
    """Return the parameters of a search for patients."""
    rows = {parameter.code: f"a {parameter.type}" for parameter in parameters("Patient").values()}
    return [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in sorted(
            (rows | _RESULT_PARAMETERS).items(), key=lambda row: (row[0][0] == "_", row)
        )
    ]


@cache
def _examples() -> Json:
    """Return example bodies: the patient and one result of the demo's course."""
    course = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    value = {"patient": course["patient"], "labResults": course["labResults"][:1]}
    record, _ = plain.from_plain(value)
    assert record is not None
    return {"TherapyRecord": value, "Bundle": to_bundle(record)}


_ERRORS = (
    ("400", "the body is not valid JSON, or a parameter is invalid"),
    ("401", "access token missing, invalid or expired"),
    ("403", "the access token does not allow it"), ("404", "not found"), ("410", "deleted"),
    ("413", "the body or the result is too large"), ("415", "the media type is not JSON"),
    ("422", "the record is invalid"),
)  # fmt: skip


def _content(schema: str, description: str, media_type: str = "application/json") -> Json:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {media_type: {"schema": reference}}}


def _schemas() -> Json:
    text = dumps(plain.schema()["$defs"]).replace(b'"#/$defs/', b'"#/components/schemas/')
    issue_fields = ("severity", "code", "expression", "message")
    issue = {
        "type": "object",
        "required": list(issue_fields),
        "properties": dict.fromkeys(issue_fields, _TEXT),
    }
    problem_row = _object(pointer=_TEXT, code=_TEXT, detail=_TEXT)
    problem_row["properties"] |= {
        name: {"type": "integer", "description": f"{name} in the body, from 1"}
        for name in ("line", "column")
    }
    return {
        **loads(text),
        "Bundle": {"type": ["object", "array"], "description": "a FHIR Bundle, list or resource"},
        "Issue": issue,
        "TimelineEvent": _object(**{
            name: {"type": ["string", "null"]} for name in ("date", "end", "dated", "status")
        }, **dict.fromkeys(("kind", "title", "detail", "resource"), _TEXT)),
        "Timeline": _object(
            patient=_PATIENT, entries=_list("TimelineEvent"), issues=_list("Issue"),
        ),
        "PatientPage": _object(
            patients={"type": "array", "items": _object(
                id=_TEXT, patient=_PATIENT, issues=_list("Issue"), record=_TEXT, timeline=_TEXT,
            )},
            next={"type": ["string", "null"]},
        ),
        "StoredResources": _object(
            resources={"type": "array", "items": _object(resource=_TEXT, status=_TEXT)},
        ),
        "Records": _object(records=_list("TherapyRecord"), issues=_list("Issue")),
        "Problem": _object(
            type=_TEXT, title=_TEXT, status={"type": "integer"},
            errors={"type": "array", "items": problem_row},
        ),
    }  # fmt: skip


_TEXT = {"type": "string"}


def _object(**properties: Any) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(schema: str) -> Json:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}


_PATIENT = {"anyOf": [{"$ref": "#/components/schemas/Patient"}, {"type": "null"}]}
