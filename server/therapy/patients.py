"""Patients found, for who looks for a record."""

from typing import Any

from flask import Response, request

from fhir_b12 import plain
from fhir_b12.bundles import from_bundle
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import responses
from fhir_b12.server.fhir.context import access, facade, parse, seen
from fhir_b12.server.fhir.search import linked
from fhir_b12.server.store import Version
from fhir_b12.server.therapy.records import answer, told
from fhir_b12.server.wire.query import parse_query_string

#: what search knows and plain records have not: other resources beside, parts of resources
_NOT_HERE = frozenset({
    "_include", "_revinclude", "_summary", "_elements", "_contained", "_containedType",
})  # fmt: skip


def find() -> Response:
    """The patients that match, a page of them; `next` leads to the page after.

    Parameters are those of FHIR's Patient, with its modifiers and chains; one that is not known is
    refused. https://hl7.org/fhir/R4/search.html
    """
    here = facade()
    asked = parse_query_string(request.query_string, here.config)
    if _NOT_HERE & {name.partition(":")[0] for name, _ in asked}:
        raise refuse(400, "not-supported", f"none of {', '.join(sorted(_NOT_HERE))} is known here")
    query = parse("Patient", asked, strict=True)
    page = here.store.search(query, access())
    seen(page.matches, query)
    place = f"{here.config.root}/therapy/patients"
    total = {} if page.total is None else {"total": page.total}
    return answer({
        "patients": [_row(each, place) for each in page.matches],
        "next": linked(place, list(query.pairs), page).get("next"),
    } | total)  # fmt: skip


def _row(version: Version, place: str) -> dict[str, Any]:
    reading = from_bundle(responses.as_value(version))
    patients = [plain.to_plain(each)["patient"] for each in reading.records if each.patient]
    return {
        "id": version.id,
        "patient": next(iter(patients), None),
        "issues": told(reading.issues),
        "record": f"{place}/{version.id}",
        "timeline": f"{place}/{version.id}/timeline",
    }
