"""Examples of the guide: the demo's record by `to_fhir`, with profiles declared.

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
    """Return each example with its description: single records, then the whole course as Bundle."""
    course = _read_course()
    records = {name.value: record for record in course for name in names(record)}
    single = [
        (_build_example(records[row["identifier"]], row["identifier"]), row["description"])
        for row in settings()["example"]
    ]
    row = settings()["bundle"]
    bundle = _declare_profile(to_bundle(course), row["id"], BUNDLE)
    return [*single, (bundle, row["description"])]


def _read_course() -> TherapyRecord:
    """Read the demo's record.

    Raises:
        JsonError: The file is not a valid record.

    """
    record, issues = plain.from_plain(
        loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    )
    if record is None:
        raise JsonError(issues)
    return record


def _build_example(record: Record, identifier: str) -> Resource:
    resource = to_fhir(record)
    lens = lens_for(resource)
    assert lens is not None
    assert lens.table.profile is not None
    return _declare_profile(resource, identifier.lower(), lens.table.profile)


def _declare_profile(resource: Resource, resource_id: str, profile: str) -> Resource:
    resource_type = resource["resourceType"]
    return {
        "resourceType": resource_type,
        "id": resource_id,
        "meta": {"profile": [profile]},
    } | resource
