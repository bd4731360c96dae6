"""What can be asked beside FHIR: routes, the OpenAPI document made of them, a page made of that.

https://spec.openapis.org/oas/v3.1.0
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from flask import Response

from fhir_b12 import data, plain
from fhir_b12.bundles import to_bundle
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.fhir.context import facade
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.therapy.pages import html
from fhir_b12.server.therapy.patients import find
from fhir_b12.server.therapy.records import answer, as_fhir, as_records, keep, read
from fhir_b12.server.therapy.timeline import timeline
from fhir_b12.server.wire.media_types import FHIR_JSON


class Path(NamedTuple):
    """One thing that can be asked, for the routing and for the OpenAPI alike."""

    rule: str
    method: str
    handler: Callable[..., Response]
    takes: str = ""  #: the schema of the body
    gives: str = ""  #: the schema of the answer
    status: int = 200
    media: str = "application/json"
    code: str = "$therapy"  #: the interaction that an AuditEvent names


PATHS = (
    Path("/therapy/records", "POST", keep, "TherapyRecord", "Kept", 201),
    Path("/therapy/patients", "GET", find, "", "Found", code="search-type"),
    Path("/therapy/patients/<name>", "GET", read, "", "Records"),
    Path("/therapy/patients/<name>/timeline", "GET", timeline, "", "Timeline"),
    Path("/therapy/to-fhir", "POST", as_fhir, "TherapyRecord", "Bundle", 200, FHIR_JSON),
    Path("/therapy/from-fhir", "POST", as_records, "Bundle", "Records"),
)


def openapi() -> Response:
    """What can be asked here, as OpenAPI has it."""
    config = facade().config
    return answer(document(config.root, is_open=config.open))


def page() -> Response:
    """The same for people, who may try it."""
    config = facade().config
    root = config.root
    told = document(root, is_open=config.open)
    asked = [
        (path, method, each)
        for path, methods in told["paths"].items()
        for method, each in methods.items()
    ]
    return html("try.html", root=root, info=told["info"], asked=asked, written=_written)


def _written(value: Any) -> str:
    return dumps(value, indent=2).decode()


def document(root: str, *, is_open: bool = False) -> dict[str, Any]:
    """The OpenAPI document, made of the routes and of the records' own schema."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fhir-b12: plain therapy records",
            "version": "1",
            "description": "Vitamin B12 infusion therapy without FHIR, the same as under /fhir.",
        },
        "servers": [{"url": root}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [] if is_open else [{"token": []}],
    }


def _paths() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in PATHS:
        first, _, rest = (path.handler.__doc__ or "").partition("\n")
        told: dict[str, Any] = {
            "operationId": path.handler.__name__,
            "summary": first,
            "description": " ".join(rest.split()),
            "responses": {str(path.status): _content(path.gives, "what was asked for", path.media)}
            | {
                status: _content("Problem", why, "application/problem+json") for status, why in _WHY
            },
        }
        if path.takes:
            body = _content(path.takes, "the body")
            body["content"]["application/json"]["example"] = _examples()[path.takes]
            told["requestBody"] = body | {"required": True}
        if "<name>" in path.rule:
            told["parameters"] = [_NAME]
        elif path.handler is find:
            told["parameters"] = _searched()
        rule = path.rule.replace("<name>", "{name}")
        found.setdefault(rule, {})[path.method.lower()] = told
    return found


_NAME = {
    "name": "name", "in": "path", "required": True, "description": "the id of the patient",
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
}  # fmt: skip
_SHAPE = {
    "_id": "ids", "_lastUpdated": "when it was last written", "_count": "matches on a page",
    "_sort": "parameters by commas, `-` for the last first", "_total": "`accurate` to count them",
    "_page": "what a `next` says",
}  # fmt: skip


def _searched() -> list[dict[str, Any]]:
    """The parameters of a search for patients."""
    told = {each.code: f"a {each.type}" for each in parameters("Patient").values()}
    return [
        {"name": name, "in": "query", "description": what, "schema": {"type": "string"}}
        for name, what in sorted(
            (told | _SHAPE).items(), key=lambda each: (each[0][0] == "_", each)
        )
    ]


@cache
def _examples() -> dict[str, Any]:
    """Bodies to begin with: of the demo's course the patient and one result."""
    course = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    value = {"patient": course["patient"], "labResults": course["labResults"][:1]}
    record, _ = plain.from_plain(value)
    assert record is not None
    return {"TherapyRecord": value, "Bundle": to_bundle(record)}


_WHY = (
    ("400", "the body is no JSON"), ("401", "no token, or none that is alive"),
    ("403", "the token does not allow it"), ("404", "there is none"), ("410", "it was deleted"),
    ("413", "too long"), ("415", "not JSON"), ("422", "what is wrong with the record"),
)  # fmt: skip


def _content(schema: str, what: str, media: str = "application/json") -> dict[str, Any]:
    named = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": what, "content": {media: {"schema": named}}}


def _schemas() -> dict[str, Any]:
    text = dumps(plain.schema()["$defs"]).replace(b'"#/$defs/', b'"#/components/schemas/')
    issue = {
        "type": "object",
        "required": ["severity", "code", "expression", "message"],
        "properties": {
            name: {"type": "string"} for name in ("severity", "code", "expression", "message")
        },
    }
    return {
        **loads(text),
        "Bundle": {"type": ["object", "array"], "description": "a FHIR Bundle, list or resource"},
        "Issue": issue,
        "Entry": _object(**{
            name: {"type": ["string", "null"]} for name in ("date", "end", "dated", "status")
        }, **{name: {"type": "string"} for name in ("kind", "title", "detail", "resource")}),
        "Timeline": _object(patient=_PATIENT, entries=_list("Entry"), issues=_list("Issue")),
        "Found": _object(
            patients={"type": "array", "items": _object(
                id={"type": "string"}, patient=_PATIENT, issues=_list("Issue"),
                record={"type": "string"}, timeline={"type": "string"},
            )},
            next={"type": ["string", "null"]},
        ),
        "Kept": _object(resources={"type": "array", "items": _object(
            resource={"type": "string"}, status={"type": "string"},
        )}),
        "Records": _object(
            records=_list("TherapyRecord"), issues=_list("Issue"),
        ),
        "Problem": _object(
            type={"type": "string"}, title={"type": "string"}, status={"type": "integer"},
            errors={"type": "array", "items": _object(
                pointer={"type": "string"}, code={"type": "string"}, detail={"type": "string"},
            )},
        ),
    }  # fmt: skip


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(schema: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}


_PATIENT = {"anyOf": [{"$ref": "#/components/schemas/Patient"}, {"type": "null"}]}
