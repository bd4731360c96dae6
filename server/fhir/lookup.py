"""Read a resource that must exist: 404 if it does not, 410 if it was deleted.

https://hl7.org/fhir/R4/http.html#read
"""

from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.store import Version
from fhir_b12.server.wire.conditional_headers import format_etag
from fhir_b12.server.wire.ids import is_id


class NotFoundError(RequestError):
    """404: a resource, or something else, does not exist or is not visible to the client."""

    def __init__(self, what: str) -> None:
        super().__init__(404, "not-found", f"{what} not found: check its id")


class DeletedError(RequestError):
    """410: a resource was deleted."""

    def __init__(self, version: Version) -> None:
        message = f"the {version.type} was deleted: read its previous versions at _history"
        super().__init__(410, "deleted", message, headers=deletion_etag(version))


def current_version(context: RequestContext, resource_type: str, resource_id: str) -> Version:
    """Return the current version of a resource, which may be its deletion.

    Raises:
        NotFoundError: it never existed or is not visible to the client.

    """
    if not is_id(resource_id):
        raise NotFoundError(resource_type)
    version = context.server.store.read(resource_type, resource_id, context.access)
    if version is None:
        raise NotFoundError(resource_type)
    return version


def existing_version(context: RequestContext, resource_type: str, resource_id: str) -> Version:
    """Return the current version of a resource that is not deleted.

    Raises:
        NotFoundError: it never existed or is not visible to the client.
        DeletedError: it was deleted.

    """
    version = current_version(context, resource_type, resource_id)
    if version.body is None:
        raise DeletedError(version)
    return version


def deletion_etag(version: Version | None) -> dict[str, str]:
    """Return the ETag of a deletion; empty if its version is unknown."""
    return {"ETag": format_etag(version.version_id)} if version and version.version_id else {}
