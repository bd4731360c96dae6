"""Read a resource or one of its versions.  https://hl7.org/fhir/R4/http.html#read"""

from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.fhir import conformance
from fhir_b12.server.fhir.lookup import NotFoundError, current_version
from fhir_b12.server.fhir.responses import version_response
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.response import JsonResponse

_MAX_DIGITS = 17  #: of a version id; more do not fit into the column


def read(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `GET Type/id`."""
    version = current_version(context, resource_type, resource_id)
    context.record_access((version,))
    return version_response(context, version)


def vread(
    context: RequestContext, resource_type: str, resource_id: str, version_id: str
) -> JsonResponse:
    """Answer `GET Type/id/_history/version`.  https://hl7.org/fhir/R4/http.html#vread

    Raises:
        NotFoundError: the version does not exist or is not visible to the client.

    """
    is_number = version_id.isascii() and version_id.isdecimal()
    if not (is_id(resource_id) and is_number and len(version_id) <= _MAX_DIGITS):
        raise NotFoundError(resource_type)
    version = context.server.store.vread(
        resource_type, resource_id, int(version_id), context.access
    )
    if version is None:
        raise NotFoundError(resource_type)
    context.record_access((version,))
    return version_response(context, version)


def read_definition(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `GET Type/id` for a definition that ships with the library.

    Raises:
        NotFoundError: it does not exist.

    """
    version = conformance.definitions_by_id(resource_type).get(resource_id)
    if version is None:
        raise NotFoundError(resource_type)
    return version_response(context, version)


ROUTES = (
    Route("read", ("GET",), "<stored:resource_type>/<resource_id>", read),
    Route("vread", ("GET",), "<stored:resource_type>/<resource_id>/_history/<version_id>", vread),
    Route(
        "read", ("GET",), "<shipped:resource_type>/<resource_id>", read_definition, is_public=True
    ),
)
