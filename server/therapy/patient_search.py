"""Search for patients, to find their records."""

from typing import Any

from flask import Response

from fhir_b12 import plain
from fhir_b12.bundles import from_bundle
from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.responses import parse_version
from fhir_b12.server.fhir.search import page_links
from fhir_b12.server.store import Version
from fhir_b12.server.therapy.records import issues_to_json, plain_response

#: search parameters that ask for other resources, or for parts of resources
_UNSUPPORTED = frozenset({
    "_include", "_revinclude", "_summary", "_elements", "_contained", "_containedType",
})  # fmt: skip


def search_patients(context: RequestContext) -> Response:
    """Search patients; `next` is the URL of the next page.

    Parameters are those of FHIR's Patient, with its modifiers and chains; an unknown one is an
    error. https://hl7.org/fhir/R4/search.html

    Raises:
        RequestError: 400 if a parameter is unknown, unsupported or invalid.

    """
    pairs = context.query_pairs()
    if _UNSUPPORTED & {name.partition(":")[0] for name, _ in pairs}:
        message = f"parameters {', '.join(sorted(_UNSUPPORTED))} are not supported: remove them"
        raise RequestError(400, "not-supported", message)
    query = context.parse_search("Patient", pairs, strict=True)
    page = context.server.store.search(query, context.access)
    context.record_access(page.matches, query)
    url = f"{context.config.root}/therapy/patients"
    total = {} if page.total is None else {"total": page.total}
    return plain_response({
        "patients": [_patient_row(version, url) for version in page.matches],
        "next": page_links(url, list(query.pairs), page).get("next"),
    } | total)  # fmt: skip


def _patient_row(version: Version, url: str) -> dict[str, Any]:
    reading = from_bundle(parse_version(version))
    patients = [plain.to_plain(record)["patient"] for record in reading.records if record.patient]
    return {
        "id": version.id,
        "patient": next(iter(patients), None),
        "issues": issues_to_json(reading.issues),
        "record": f"{url}/{version.id}",
        "timeline": f"{url}/{version.id}/timeline",
    }
