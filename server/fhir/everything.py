"""`Patient/id/$everything`: the patient, the compartment, and the resources these refer to.

https://hl7.org/fhir/R4/patient-operation-everything.html
"""

from collections.abc import Iterator
from itertools import chain

from fhir_b12.definitions import R4
from fhir_b12.jsonio import loads
from fhir_b12.references import walk_references
from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.lookup import existing_version
from fhir_b12.server.fhir.parameters import OperationParameters, read_parameters
from fhir_b12.server.fhir.responses import bundle_response, resource_url, search_entries
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.search.criteria import InCompartment
from fhir_b12.server.store import Version
from fhir_b12.server.wire.response import JsonResponse
from fhir_b12.suggestions import did_you_mean_or_list

_PARAMETERS = ("start", "end", "_since", "_type")
#: types outside of the patient compartment, returned if a resource in it refers to them
_SHARED_TYPES = tuple(name for name in TYPES if name not in R4.compartment("Patient"))


def everything(context: RequestContext, resource_id: str) -> JsonResponse:
    """Answer `GET or POST Patient/id/$everything`, with `_type`, `_since`, `start` and `end`."""
    parameters = read_parameters(context, _PARAMETERS)
    patient = existing_version(context, "Patient", resource_id)
    resource_types = parse_types(parameters.text("_type"))
    versions = patient_versions(context, patient, resource_types, parameters)
    context.record_access(versions)
    result_format = context.result_format
    return bundle_response(
        "searchset",
        search_entries(context, versions, "match", result_format),
        total=len(versions),
        links={"self": f"{resource_url(context, patient)}/$everything"},
        result_format=result_format,
    )


def patient_versions(
    context: RequestContext,
    patient: Version,
    resource_types: frozenset[str] = frozenset(TYPES),
    parameters: OperationParameters | None = None,
) -> list[Version]:
    """Return a patient, the compartment, and the resources these refer to.

    Args:
        context: the request.
        patient: the current version of the Patient.
        resource_types: the types to return.
        parameters: `start`, `end` and `_since`; None for all of any time.

    Raises:
        RequestError: 413 if they are larger than `FHIR_B12_MAX_ANSWER`.

    """
    bytes_left = context.config.max_answer
    versions: dict[tuple[str, str], Version] = {}
    compartment = _compartment(
        context, patient.id, resource_types, parameters or OperationParameters([])
    )
    own = (patient,) if "Patient" in resource_types else ()
    for version in chain(own, compartment):
        versions[version.type, version.id] = version
        bytes_left -= len(version.body or b"")
        if bytes_left < 0:
            message = "the result is too large: restrict it by _type, start and end, or use $export"
            raise RequestError(413, "too-costly", message)
    for version in _shared_resources(context, list(versions.values()), resource_types):
        versions.setdefault((version.type, version.id), version)
    return list(versions.values())


def parse_types(text: str | None) -> frozenset[str]:
    """Return the types that `_type` lists; all types if it is missing.

    Raises:
        RequestError: 400 if it is empty or lists an unknown type.

    """
    if text is None:
        return frozenset(TYPES)
    names = frozenset(filter(None, text.split(",")))
    if unknown := sorted(names - set(TYPES)):
        hint = did_you_mean_or_list(unknown[0], TYPES)
        raise RequestError(400, "value", f"_type lists an unknown resource type{hint}")
    if not names:
        raise RequestError(400, "value", "_type is empty: list resource types, separated by commas")
    return names


def _compartment(
    context: RequestContext,
    patient_id: str,
    resource_types: frozenset[str],
    parameters: OperationParameters,
) -> Iterator[Version]:
    access = context.access
    for resource_type in sorted(resource_types & set(R4.compartment("Patient")) - {"Patient"}):
        if access.limits(resource_type, "s") is None:
            continue
        pairs = []
        if (since := parameters.text("_since")) is not None:
            pairs.append(("_lastUpdated", f"ge{since}"))
        if "date" in R4.search_parameters(resource_type):
            for prefix, name in (("ge", "start"), ("le", "end")):
                if (text := parameters.text(name)) is not None:
                    pairs.append(("date", f"{prefix}{text}"))
        in_patient = InCompartment("Patient", patient_id)
        yield from context.server.search_all(access, resource_type, pairs, in_patient)


def _shared_resources(
    context: RequestContext, versions: list[Version], resource_types: frozenset[str]
) -> Iterator[Version]:
    """Yield the resources outside of the compartment that these refer to: drugs, clinicians."""
    shared = resource_types & set(_SHARED_TYPES)
    read: set[str] = set()
    base = f"{context.config.base}/"
    for reference in chain.from_iterable(_references(version, base) for version in versions):
        resource_type, _, resource_id = reference.partition("/")
        if resource_type not in shared or reference in read:
            continue
        if context.access.limits(resource_type, "r") is not None:
            read.add(reference)
            version = context.server.store.read(resource_type, resource_id, context.access)
            if version is not None and version.body is not None:
                yield version


def _references(version: Version, base: str) -> Iterator[str]:
    """Yield the references in a resource, as `Type/id`."""
    for _, reference in walk_references(loads(version.body or b"{}")):
        yield "/".join(reference["reference"].removeprefix(base).split("/")[:2])


ROUTES = (
    Route(
        "$everything",
        ("GET", "POST"),
        "Patient/<resource_id>/$everything",
        everything,
        "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    ),
)
