"""Examples: the demo's record by `to_fhir`, each claiming its profile.

https://hl7.org/fhir/R4/examplescenario.html
"""

from typing import Any

from fhir_b12 import data, plain
from fhir_b12.bundles import to_bundle
from fhir_b12.guide.definitions import settings
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.mapping.lens import lens_for, to_fhir
from fhir_b12.records import Record, TherapyRecord, names

Resource = dict[str, Any]
BUNDLE = "https://fhir-b12.org/StructureDefinition/b12-therapy-bundle"


def examples() -> list[tuple[Resource, str]]:
    """Each example with what it shows: single records, then the whole course as a transaction."""
    course = _course()
    known = {name.value: record for record in course for name in names(record)}
    made = [
        (_example(known[each["identifier"]], each["identifier"]), each["says"])
        for each in settings()["example"]
    ]
    whole = settings()["bundle"]
    return [*made, (_claiming(to_bundle(course), whole["id"], BUNDLE), whole["says"])]


def _course() -> TherapyRecord:
    record, issues = plain.from_plain(
        loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    )
    if record is None:
        raise JsonError(issues)
    return record


def _example(record: Record, identifier: str) -> Resource:
    resource = to_fhir(record)
    lens = lens_for(resource)
    assert lens is not None
    assert lens.table.profile is not None
    return _claiming(resource, identifier.lower(), lens.table.profile)


def _claiming(resource: Resource, name: str, profile: str) -> Resource:
    kind = resource["resourceType"]
    return {"resourceType": kind, "id": name, "meta": {"profile": [profile]}} | resource
