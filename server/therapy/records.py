"""Therapy records kept, read, and carried between FHIR and plain JSON."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Response, request

from fhir_b12 import plain
from fhir_b12.bundles import from_bundle, to_bundle
from fhir_b12.explanation import INDEX, Leaf, explain
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping.lens import MappingError
from fhir_b12.records import TherapyRecord
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.fhir import everything, responses, transaction
from fhir_b12.server.fhir.context import access, facade, seen
from fhir_b12.server.store import Version
from fhir_b12.server.wire.body import read_body
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import FHIR_JSON, JSON, require_media_type
from fhir_b12.server.wire.response import json_response
from fhir_b12.server.wire.timestamps import format_instant

_JSON = {"application/json"}
_CHOICE = re.compile(r"(\w+)\.ofType\((\w)(\w*)\)")
_IN_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]\.resource\.?(.*)", re.DOTALL)
_WRITER = "urn:uuid:3a5b2c1e-0f4d-4b7a-9c8e-1d2f3a4b5c6d"  #: of the Provenance in its transaction


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
    whole = bundle | {"entry": [*bundle["entry"], _provenance(names)]}
    with _told_by_record(record, bundle):
        done = [loads(each)["response"] for each in transaction.carried_out(whole)]
    rows = [{"resource": _place(each["location"]), "status": each["status"]} for each in done]
    return answer({"resources": rows}, 201)


def read(name: str) -> Response:
    """The therapy record of a patient, made of all that is kept of the patient here."""
    records, issues = of_patient(name)
    return answer({"records": [plain.to_plain(each) for each in records], "issues": told(issues)})


def of_patient(name: str) -> tuple[list[TherapyRecord], tuple[Issue, ...]]:
    """What is kept of a patient, about to be shown, and what of it cannot be read."""
    if not is_id(name):
        raise responses.unknown("Patient")
    patient = facade().store.read("Patient", name, access())
    if patient is None:
        raise responses.unknown("Patient")
    if patient.body is None:
        raise responses.gone(patient)
    versions = everything.versions(patient)
    seen(versions)
    entries = [_entry(each) for each in versions]
    reading = from_bundle({"resourceType": "Bundle", "type": "collection", "entry": entries})
    return [each for each in reading.records if each.patient is not None], reading.issues


def as_fhir() -> Response:
    """The FHIR transaction that a therapy record is; nothing is kept."""
    record = _record()
    bundle = _bundle(record)
    with _told_by_record(record, bundle):
        facade().policy.check_each(
            (entry["resource"], f"Bundle.entry[{number}].resource")
            for number, entry in enumerate(bundle.get("entry", ()))
        )
    return answer(bundle, media=FHIR_JSON)


def as_records() -> Response:
    """The therapy records of a Bundle, a list or a resource; nothing is kept.

    `residue` has the FHIRPath of every leaf that no record holds.
    """
    require_media_type(request, JSON)
    value = loads(read_body(request, facade().config), max_bytes=facade().config.max_body)
    reading = from_bundle(value)
    residue = [each.path for each in reading.ledger if each.kind == "residue"]
    return answer({
        "records": [plain.to_plain(each) for each in reading.records],
        "issues": told(reading.issues),
        "residue": residue,
    })  # fmt: skip


# --- records and Bundles


def _record() -> TherapyRecord:
    """The record in the body; Refusal 422 with everything that is wrong with it."""
    config = facade().config
    require_media_type(request, _JSON)
    value = loads(read_body(request, config), max_bytes=config.max_body)
    record, issues = plain.from_plain(value)
    if record is None:
        raise Refusal(422, issues)
    return record


def _bundle(record: TherapyRecord) -> dict[str, Any]:
    try:
        return to_bundle(record)
    except MappingError as error:
        raise Refusal(422, error.issues) from error


@contextmanager
def _told_by_record(record: TherapyRecord, bundle: dict[str, Any]) -> Iterator[None]:
    """What is wrong with the resources that a record became, by where it stands in the record."""
    try:
        yield
    except Refusal as refusal:
        places = [place for place, _ in record.places()]
        leaves = [leaf for leaf in explain(from_bundle(bundle)) if leaf.field]
        issues = [_by_record(each, places, leaves) for each in refusal.issues]
        raise Refusal(refusal.status, issues, refusal.headers) from refusal


def _by_record(issue: Issue, places: Sequence[str], leaves: Iterable[Leaf]) -> Issue:
    found = _IN_ENTRY.match(issue.expression)
    if found is None or int(found[1]) >= len(places):
        return issue
    place, path = f"$.{places[int(found[1])]}", found[2]
    within = _CHOICE.sub(lambda each: f"{each[1]}{each[2].upper()}{each[3]}", issue.expression)
    within = within.removeprefix("Bundle.")
    for leaf in leaves:
        if leaf.path == within or leaf.path.startswith((f"{within}.", f"{within}[")):
            # a field has no index; where FHIR names it alike, its own is the one
            below = INDEX.sub("", leaf.path[len(within) :])
            field = (leaf.field or "").removesuffix(below)
            whole = path if INDEX.sub("", path) == field else _camel(field)
            place += f".{whole}" if path else ""
            break
    return msgspec.structs.replace(issue, expression=place, pointer=None)


def _camel(field: str) -> str:
    """As plain records spell it: `reference_range.high` is `referenceRange.high`."""
    return re.sub("_(.)", lambda found: found[1].upper(), field)


def _provenance(names: Sequence[str]) -> dict[str, Any]:
    """That these came by mapping.  https://hl7.org/fhir/R4/provenance.html"""
    here = facade()
    client = str(getattr(access(), "client", "")) or "open"
    resource = {
        "resourceType": "Provenance",
        "target": [{"reference": name} for name in names],
        "recorded": format_instant(here.clock()),
        "activity": {"text": "mapped from a plain therapy record"},
        "agent": [
            {"who": {"identifier": {"value": client}}, "onBehalfOf": {"display": here.config.root}}
        ],
    }
    asked = {"method": "POST", "url": "Provenance"}
    return {"fullUrl": _WRITER, "resource": resource, "request": asked}


def _entry(version: Version) -> dict[str, Any]:
    return {"fullUrl": responses.url(version), "resource": responses.as_value(version)}


def _place(location: str) -> str:
    """`Observation/1` of the place of a version."""
    return location.removeprefix(f"{facade().config.base}/").partition("/_history")[0]


def told(issues: Iterable[Issue]) -> list[dict[str, Any]]:
    """Issues as plain JSON."""
    found: list[dict[str, Any]] = msgspec.to_builtins(list(issues))
    return found


def answer(value: Any, status: int = 200, media: str = "application/json") -> Response:
    """A value as JSON."""
    made = json_response(dumps(value), status)
    made.mimetype = media
    return made
