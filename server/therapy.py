"""Plain records beside FHIR: the same data for who does not speak it.

Faults are problem details, https://www.rfc-editor.org/rfc/rfc9457.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from flask import Response, request

from fhir_b12 import plain
from fhir_b12.bundles import from_bundle, to_bundle
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping.lens import MappingError
from fhir_b12.records import TherapyRecord
from fhir_b12.server import wire
from fhir_b12.server.fhir import answers, everything, transaction
from fhir_b12.server.fhir.context import access, facade, seen
from fhir_b12.server.outcomes import Refusal, refuse
from fhir_b12.server.store import Version

_JSON = {"application/json"}
_WRITER = "urn:uuid:3a5b2c1e-0f4d-4b7a-9c8e-1d2f3a4b5c6d"  #: of the Provenance in its transaction


class Path(NamedTuple):
    """One thing that can be asked, for the routing and for the OpenAPI alike."""

    rule: str
    method: str
    handler: Callable[..., Response]
    takes: str = ""  #: the schema of the body
    gives: str = ""  #: the schema of the answer
    status: int = 200
    media: str = "application/json"


def keep() -> Response:
    """Keep a therapy record: all of its resources or none.

    Sent again it changes nothing, save that R4 cannot find an AdverseEvent by its identifier. A
    Provenance says that the resources came by mapping, when, and from whom.
    """
    record = _record()
    bundle = _bundle(record)
    if "entry" not in bundle:
        raise refuse(422, "required", "the record is empty; there is nothing to keep", "$")
    names = [entry["fullUrl"] for entry in bundle["entry"]]
    bundle["entry"].append(_provenance(names))
    told = [loads(each)["response"] for each in transaction.carried_out(bundle)]
    rows = [{"resource": _place(each["location"]), "status": each["status"]} for each in told]
    return _answer({"resources": rows}, 201)


def read(name: str) -> Response:
    """The therapy record of a patient, made of all that is kept of the patient here."""
    if not wire.is_id(name):
        raise answers.unknown("Patient")
    patient = facade().store.read("Patient", name, access())
    if patient is None:
        raise answers.unknown("Patient")
    if patient.body is None:
        raise answers.gone(patient)
    versions = everything.versions(patient)
    seen(versions)
    entries = [_entry(each) for each in versions]
    reading = from_bundle({"resourceType": "Bundle", "type": "collection", "entry": entries})
    records = [plain.to_plain(each) for each in reading.records if each.patient is not None]
    return _answer({"records": records, "issues": _told(reading.issues)})


def as_fhir() -> Response:
    """The FHIR transaction that a therapy record is; nothing is kept."""
    return _answer(_bundle(_record()), media=wire.FHIR_JSON)


def as_records() -> Response:
    """The therapy records of a Bundle, a list or a resource; nothing is kept.

    `residue` has the FHIRPath of every leaf that no record holds.
    """
    wire.check_media(request, wire.JSON)
    value = loads(wire.body(request, facade().config), max_bytes=facade().config.max_body)
    reading = from_bundle(value)
    residue = [each.path for each in reading.ledger if each.kind == "residue"]
    return _answer({
        "records": [plain.to_plain(each) for each in reading.records],
        "issues": _told(reading.issues),
        "residue": residue,
    })  # fmt: skip


def openapi() -> Response:
    """What can be asked here, as OpenAPI has it.  https://spec.openapis.org/oas/v3.1.0"""
    config = facade().config
    return _answer(document(config.root, is_open=config.open))


PATHS = (
    Path("/therapy/records", "POST", keep, "TherapyRecord", "Kept", 201),
    Path("/therapy/patients/<name>", "GET", read, "", "Records"),
    Path("/therapy/to-fhir", "POST", as_fhir, "TherapyRecord", "Bundle", 200, wire.FHIR_JSON),
    Path("/therapy/from-fhir", "POST", as_records, "Bundle", "Records"),
)


# --- records and Bundles


def _record() -> TherapyRecord:
    """The record in the body; Refusal 422 with everything that is wrong with it."""
    config = facade().config
    wire.check_media(request, _JSON)
    value = loads(wire.body(request, config), max_bytes=config.max_body)
    record, issues = plain.from_plain(value)
    if record is None:
        raise Refusal(422, issues)
    return record


def _bundle(record: TherapyRecord) -> dict[str, Any]:
    try:
        return to_bundle(record)
    except MappingError as error:
        raise Refusal(422, error.issues) from error


def _provenance(names: Sequence[str]) -> dict[str, Any]:
    """That these came by mapping.  https://hl7.org/fhir/R4/provenance.html"""
    here = facade()
    client = str(getattr(access(), "client", "")) or "open"
    resource = {
        "resourceType": "Provenance",
        "target": [{"reference": name} for name in names],
        "recorded": wire.instant(here.clock()),
        "activity": {"text": "mapped from a plain therapy record"},
        "agent": [
            {"who": {"identifier": {"value": client}}, "onBehalfOf": {"display": here.config.root}}
        ],
    }
    asked = {"method": "POST", "url": "Provenance"}
    return {"fullUrl": _WRITER, "resource": resource, "request": asked}


def _entry(version: Version) -> dict[str, Any]:
    return {"fullUrl": answers.url(version), "resource": answers.as_value(version)}


def _place(location: str) -> str:
    """`Observation/1` of the place of a version."""
    return location.removeprefix(f"{facade().config.base}/").partition("/_history")[0]


def _told(issues: Iterable[Issue]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.to_builtins(list(issues))
    return found


def _answer(value: Any, status: int = 200, media: str = "application/json") -> Response:
    answer = wire.answer(dumps(value), status)
    answer.mimetype = media
    return answer


# --- OpenAPI


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
            told["requestBody"] = _content(path.takes, "the body") | {"required": True}
        if "<name>" in path.rule:
            known = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
            told["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": known}]
        rule = path.rule.replace("<name>", "{name}")
        found.setdefault(rule, {})[path.method.lower()] = told
    return found


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
        "Kept": _object(resources={"type": "array", "items": _object(
            resource={"type": "string"}, status={"type": "string"},
        )}),
        "Records": _object(
            records={"type": "array", "items": {"$ref": "#/components/schemas/TherapyRecord"}},
            issues={"type": "array", "items": {"$ref": "#/components/schemas/Issue"}},
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
