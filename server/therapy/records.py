"""Therapy records stored, read, and converted between FHIR and plain JSON."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Response

from fhir_b12 import plain
from fhir_b12.bundles import from_bundle, to_bundle
from fhir_b12.explanation import INDEX, Leaf, explain
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping.lens import MappingError
from fhir_b12.records import TherapyRecord
from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.everything import patient_versions
from fhir_b12.server.fhir.lookup import existing_version
from fhir_b12.server.fhir.responses import parse_version, resource_url
from fhir_b12.server.fhir.transaction import apply_transaction
from fhir_b12.server.wire.body import read_json
from fhir_b12.server.wire.media_types import FHIR_JSON, JSON, require_media_type
from fhir_b12.server.wire.response import json_response
from fhir_b12.server.wire.timestamps import format_instant

Json = dict[str, Any]
_PLAIN_JSON = {"application/json"}
_CHOICE = re.compile(r"(\w+)\.ofType\((\w)(\w*)\)")
_IN_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]\.resource\.?(.*)", re.DOTALL)
#: fullUrl of the Provenance in its transaction
_PROVENANCE_URL = "urn:uuid:3a5b2c1e-0f4d-4b7a-9c8e-1d2f3a4b5c6d"


def create_record(context: RequestContext) -> Response:
    """Store a therapy record: all of its resources or none.

    Storing a record again changes nothing, except that its AdverseEvents are created again: R4
    cannot search them by identifier. A Provenance says that the resources were mapped from a
    record, when, and by which client.

    Raises:
        RequestError: 422 if the record is empty or invalid.

    """
    record = _read_record(context)
    bundle = _to_bundle(record)
    if "entry" not in bundle:
        raise RequestError(422, "required", "the record is empty: add a patient", "$")
    full_urls = [entry["fullUrl"] for entry in bundle["entry"]]
    transaction = bundle | {"entry": [*bundle["entry"], _provenance(context, full_urls)]}
    with _issues_located_in_record(record, bundle):
        entries = apply_transaction(context, transaction)
    responses = [loads(entry)["response"] for entry in entries]
    base = f"{context.config.base}/"
    rows = [
        {
            "resource": row["location"].removeprefix(base).partition("/_history")[0],
            "status": row["status"],
        }
        for row in responses
    ]
    return plain_response({"resources": rows}, 201)


def read_record(context: RequestContext, resource_id: str) -> Response:
    """Read the therapy record of a patient, mapped from all stored resources of the patient."""
    records, issues = records_of_patient(context, resource_id)
    return plain_response({
        "records": [plain.to_plain(record) for record in records],
        "issues": issues_to_json(issues),
    })  # fmt: skip


def records_of_patient(
    context: RequestContext, patient_id: str
) -> tuple[list[TherapyRecord], tuple[Issue, ...]]:
    """Return the records of a patient, and the issues of what could not be mapped.

    The access is recorded: the records are about to be returned.

    Raises:
        RequestError: 404 or 410 if the patient does not exist.

    """
    patient = existing_version(context, "Patient", patient_id)
    versions = patient_versions(context, patient)
    context.record_access(versions)
    entries = [
        {"fullUrl": resource_url(context, version), "resource": parse_version(version)}
        for version in versions
    ]
    reading = from_bundle({"resourceType": "Bundle", "type": "collection", "entry": entries})
    records = [record for record in reading.records if record.patient is not None]
    return records, reading.issues


def to_fhir(context: RequestContext) -> Response:
    """Convert a therapy record to a FHIR transaction; nothing is stored."""
    record = _read_record(context)
    bundle = _to_bundle(record)
    with _issues_located_in_record(record, bundle):
        context.server.policy.check_all(
            (entry["resource"], f"Bundle.entry[{number}].resource")
            for number, entry in enumerate(bundle.get("entry", ()))
        )
    return plain_response(bundle, media_type=FHIR_JSON)


def from_fhir(context: RequestContext) -> Response:
    """Convert a FHIR Bundle, list or resource to therapy records; nothing is stored.

    `residue` has the FHIRPath of every leaf that is in no record.
    """
    require_media_type(context.request, JSON)
    reading = from_bundle(read_json(context.request, context.config))
    residue = [entry.path for entry in reading.ledger if entry.kind == "residue"]
    return plain_response({
        "records": [plain.to_plain(record) for record in reading.records],
        "issues": issues_to_json(reading.issues),
        "residue": residue,
    })  # fmt: skip


# --- records and Bundles


def _read_record(context: RequestContext) -> TherapyRecord:
    """Read the record in the body; raise 422 with all issues if it is invalid.

    Raises:
        RequestError: 422 with all issues if it is invalid.

    """
    require_media_type(context.request, _PLAIN_JSON)
    record, issues = plain.from_plain(read_json(context.request, context.config))
    if record is None:
        raise RequestError(422, issues=issues)
    return record


def _to_bundle(record: TherapyRecord) -> Json:
    """Map a record to a transaction.

    Raises:
        RequestError: 422 if it cannot be mapped.

    """
    try:
        return to_bundle(record)
    except MappingError as error:
        raise RequestError(422, issues=error.issues) from error


@contextmanager
def _issues_located_in_record(record: TherapyRecord, bundle: Json) -> Iterator[None]:
    """Locate the issues of mapped resources in the record that they were mapped from.

    Raises:
        RequestError: what the block raises, with its issues located in the record.

    """
    try:
        yield
    except RequestError as refusal:
        places = [place for place, _ in record.located()]
        leaves = [leaf for leaf in explain(from_bundle(bundle)) if leaf.field]
        issues = [_locate_in_record(issue, places, leaves) for issue in refusal.issues]
        raise RequestError(refusal.status, issues=issues, headers=refusal.headers) from refusal


def _locate_in_record(issue: Issue, places: Sequence[str], leaves: Iterable[Leaf]) -> Issue:
    """Return an issue of `Bundle.entry[1]…` at its path in the record, `$.labResults[0]…`."""
    match = _IN_ENTRY.match(issue.expression)
    if match is None or int(match[1]) >= len(places):
        return issue
    path, element_path = f"$.{places[int(match[1])]}", match[2]
    fhir_path = _CHOICE.sub(
        lambda choice: f"{choice[1]}{choice[2].upper()}{choice[3]}", issue.expression
    ).removeprefix("Bundle.")
    for leaf in leaves:
        if leaf.path == fhir_path or leaf.path.startswith((f"{fhir_path}.", f"{fhir_path}[")):
            # fields have no index: if FHIR has the same name, its path with indexes is used
            below = INDEX.sub("", leaf.path[len(fhir_path) :])
            field = (leaf.field or "").removesuffix(below)
            is_same = INDEX.sub("", element_path) == field
            path += f".{element_path if is_same else _camel_case(field)}" if element_path else ""
            break
    return msgspec.structs.replace(issue, expression=path, pointer=None)


def _camel_case(field: str) -> str:
    """Return a field as plain records spell it: `referenceRange.high`."""
    return re.sub("_(.)", lambda match: match[1].upper(), field)


def _provenance(context: RequestContext, full_urls: Sequence[str]) -> Json:
    """Return the transaction entry that records the mapping.

    https://hl7.org/fhir/R4/provenance.html
    """
    client, server = context.client or "open", context.config.root
    resource = {
        "resourceType": "Provenance",
        "target": [{"reference": full_url} for full_url in full_urls],
        "recorded": format_instant(context.now),
        "activity": {"text": "mapped from a plain therapy record"},
        "agent": [{"who": {"identifier": {"value": client}}, "onBehalfOf": {"display": server}}],
    }
    request = {"method": "POST", "url": "Provenance"}
    return {"fullUrl": _PROVENANCE_URL, "resource": resource, "request": request}


def issues_to_json(issues: Iterable[Issue]) -> list[Json]:
    """Return issues as plain JSON."""
    rows: list[Json] = msgspec.to_builtins(list(issues))
    return rows


def plain_response(value: Any, status: int = 200, media_type: str = "application/json") -> Response:
    """Build a response of a JSON value."""
    response = json_response(dumps(value), status)
    response.mimetype = media_type
    return response
