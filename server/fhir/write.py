"""Create, update, patch and delete, each with or without criteria.

https://hl7.org/fhir/R4/http.html#create https://hl7.org/fhir/R4/http.html#update
"""

from typing import Any

from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.lookup import NotFoundError
from fhir_b12.server.fhir.responses import change_response
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Change
from fhir_b12.server.wire.body import read_json, read_resource
from fhir_b12.server.wire.conditional_headers import parse_if_match
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import PATCH_JSON, require_media_type
from fhir_b12.server.wire.query import Pairs, parse_criteria
from fhir_b12.server.wire.response import JsonResponse

_FORMAT_PARAMETERS = {"_format", "_pretty", "_summary", "_elements"}
ID_MISMATCH = "id must be the id in the URL: change one of them"


def create(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `POST Type`; with If-None-Exist only if nothing matches.

    fhirpy sends the criteria as the query of the URL; ignoring them would create duplicates.

    Raises:
        RequestError: 400 if If-None-Exist is not percent-encoded.

    """
    resource = read_resource(context.request, context.config, resource_type)
    header = context.request.headers.get("If-None-Exist")
    if header is not None and not header.isascii():
        raise RequestError(400, "invalid", "If-None-Exist is not ASCII: percent-encode its values")
    criteria = parse_if_none_exist(context, header, resource_type)
    if criteria is None and (pairs := _criteria_pairs(context)):
        criteria = parse_write_criteria(context, resource_type, pairs)
    advice = context.server.policy.check(resource)
    change = Change(method="POST", type=resource_type, resource=resource, criteria=criteria)
    return change_response(context, context.apply([change])[0], advice)


def update(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `PUT Type/id`; creates the resource if it does not exist."""
    resource = read_resource(context.request, context.config, resource_type)
    require_id(resource, resource_id)
    advice = context.server.policy.check(resource)
    change = Change(
        method="PUT", type=resource_type, id=resource_id, resource=resource,
        if_match=_if_match(context),
    )  # fmt: skip
    return change_response(context, context.apply([change])[0], advice)


def conditional_update(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `PUT Type?query`.  https://hl7.org/fhir/R4/http.html#cond-update

    Updates the only match; creates the resource if nothing matches.

    Raises:
        InvalidIdError: the resource has an invalid id.

    """
    resource = read_resource(context.request, context.config, resource_type)
    criteria = parse_write_criteria(context, resource_type, _criteria_pairs(context))
    resource_id = resource.get("id")
    if resource_id is not None and not is_id(resource_id):
        raise InvalidIdError(resource_type)
    advice = context.server.policy.check(resource)
    change = Change(
        method="PUT", type=resource_type, id=resource_id, resource=resource, criteria=criteria,
        if_match=_if_match(context),
    )  # fmt: skip
    return change_response(context, context.apply([change])[0], advice)


def patch(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `PATCH Type/id` with a JSON Patch.  https://hl7.org/fhir/R4/http.html#patch"""
    change = Change(
        method="PATCH", type=resource_type, id=_existing_id(resource_type, resource_id),
        patch=_read_patch(context), if_match=_if_match(context),
    )  # fmt: skip
    results = context.apply([change], check=context.server.policy.check_patched)
    return change_response(context, results[0])


def conditional_patch(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `PATCH Type?query`: patch the only match."""
    operations = _read_patch(context)
    criteria = parse_write_criteria(context, resource_type, _criteria_pairs(context))
    change = Change(
        method="PATCH", type=resource_type, criteria=criteria, patch=operations,
        if_match=_if_match(context),
    )  # fmt: skip
    results = context.apply([change], check=context.server.policy.check_patched)
    return change_response(context, results[0])


def delete(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `DELETE Type/id`; succeeds if there is nothing to delete.

    https://hl7.org/fhir/R4/http.html#delete
    """
    change = Change(
        method="DELETE", type=resource_type, id=_existing_id(resource_type, resource_id),
        if_match=_if_match(context),
    )  # fmt: skip
    return change_response(context, context.apply([change])[0])


def conditional_delete(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `DELETE Type?query`: delete the only match.

    https://hl7.org/fhir/R4/http.html#3.1.0.7.1
    """
    criteria = parse_write_criteria(context, resource_type, _criteria_pairs(context))
    change = Change(method="DELETE", type=resource_type, criteria=criteria)
    return change_response(context, context.apply([change])[0])


# --- shared with transactions


def require_id(resource: dict[str, Any], resource_id: str) -> None:
    """Check that a resource has the id in its URL.

    Raises:
        InvalidIdError: the id is invalid.
        RequestError: 400 if it is another one.

    """
    resource_type = resource["resourceType"]
    if not is_id(resource_id):
        raise InvalidIdError(resource_type)
    if resource.get("id") != resource_id:
        raise RequestError(400, "invalid", ID_MISMATCH, f"{resource_type}.id")


class InvalidIdError(RequestError):
    """400: an id has other characters, or too many."""

    def __init__(self, resource_type: str) -> None:
        message = "invalid id: use 1 to 64 of A-Z a-z 0-9 - ."
        super().__init__(400, "value", message, f"{resource_type}.id")


def parse_if_none_exist(
    context: RequestContext, header: str | None, resource_type: str
) -> Query | None:
    """Parse the criteria of a conditional create, None if it has none."""
    if header is None:
        return None
    pairs = parse_criteria(header, resource_type, context.config)
    return parse_write_criteria(context, resource_type, pairs)


def parse_write_criteria(context: RequestContext, resource_type: str, pairs: Pairs) -> Query:
    """Parse the criteria of a conditional interaction; unknown parameters are an error.

    Raises:
        RequestError: 412 if nothing is searched for, 400 if a parameter is unknown or invalid.

    """
    query = context.parse_search(resource_type, pairs, strict=True) if pairs else None
    if query is None or not query.criteria:
        raise RequestError(412, "incomplete", "the criteria are empty: add a search parameter")
    return query


def require_patch(value: Any) -> list[Any]:
    """Return a JSON value if it is a list of JSON Patch operations.

    Raises:
        RequestError: 400 if it is not.

    """
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        message = "the body is not a JSON Patch: send a list of operations"
        raise RequestError(400, "structure", message)
    return value


def _read_patch(context: RequestContext) -> list[Any]:
    require_media_type(context.request, {PATCH_JSON})
    return require_patch(read_json(context.request, context.config))


def _existing_id(resource_type: str, resource_id: str) -> str:
    """Return an id, or raise 404: no resource has an invalid one.

    Raises:
        NotFoundError: the id is invalid.

    """
    if not is_id(resource_id):
        raise NotFoundError(resource_type)
    return resource_id


def _if_match(context: RequestContext) -> int | None:
    """Return the version that a write requires to be the current one.

    Raises:
        RequestError: 400 if there is an If-None-Match, 412 if If-Match is invalid.

    """
    headers = context.request.headers
    if "If-None-Match" in headers:
        message = (
            "If-None-Match is supported for reads only: create conditionally by PUT Type?query"
        )
        raise RequestError(400, "not-supported", message)
    return parse_if_match(headers.get("If-Match"))


def _criteria_pairs(context: RequestContext) -> Pairs:
    """Return the criteria in the URL, without what asks for a format of the response."""
    if not context.request.query_string:
        return []
    return [pair for pair in context.query_pairs() if pair[0] not in _FORMAT_PARAMETERS]


_TYPE = "<writable:resource_type>"
ROUTES = (
    Route("create", ("POST",), _TYPE, create),
    Route("update", ("PUT",), f"{_TYPE}/<resource_id>", update),
    Route("conditional-update", ("PUT",), _TYPE, conditional_update),
    Route("patch", ("PATCH",), f"{_TYPE}/<resource_id>", patch),
    Route("conditional-patch", ("PATCH",), _TYPE, conditional_patch),
    Route("delete", ("DELETE",), f"{_TYPE}/<resource_id>", delete),
    Route("conditional-delete", ("DELETE",), _TYPE, conditional_delete),
)
