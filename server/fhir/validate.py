"""`$validate`: validate a resource without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from typing import Any

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.lookup import current_version, existing_version
from fhir_b12.server.fhir.parameters import (
    OperationParameters,
    parse_parameters,
    read_parameters,
)
from fhir_b12.server.fhir.write import ID_MISMATCH
from fhir_b12.server.wire.body import read_body, require_resource_type
from fhir_b12.server.wire.media_types import JSON, require_media_type
from fhir_b12.server.wire.response import JsonResponse, json_response

_MODES = {"create", "update", "delete", "profile"}


def validate(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `POST Type/$validate`: a resource, or Parameters with one, a mode and profiles."""
    return _validate_body(context, resource_type, None)


def validate_update(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `POST Type/id/$validate`: a resource that is to be stored under this id."""
    return _validate_body(context, resource_type, resource_id)


def validate_stored(context: RequestContext, resource_type: str, resource_id: str) -> JsonResponse:
    """Answer `GET Type/id/$validate`: the stored resource."""
    parameters = read_parameters(context, ("mode", "profile"))
    version = existing_version(context, resource_type, resource_id)
    context.record_access((version,))
    return _validate(context, version.body, parameters)


def _validate_body(
    context: RequestContext, resource_type: str, resource_id: str | None
) -> JsonResponse:
    """Validate the resource in the body.

    Raises:
        RequestError: 400 if mode or resource is missing or invalid.

    """
    require_media_type(context.request, JSON)
    text = read_body(context.request, context.config)
    pairs: list[tuple[str, Any]] = list(context.query_pairs())
    data: Any = text
    try:
        value = loads(text, max_bytes=context.config.max_body)
    except JsonError:
        value = None  # the validator reports what is wrong with the JSON
    if _is_operation_input(value, resource_type):
        pairs += parse_parameters(value)
        data = OperationParameters(pairs).one("resource", dict)
        value = data
    parameters = OperationParameters(pairs)
    mode = parameters.text("mode")
    if mode not in {None, *_MODES}:
        raise RequestError(400, "value", f"mode must be one of {', '.join(sorted(_MODES))}")
    if mode == "delete":
        return _validate_delete(context, resource_type, resource_id)
    if data is None or not text.strip():
        message = "the resource to validate is required: send it as body or as parameter resource"
        raise RequestError(400, "required", message)
    if isinstance(value, dict):
        require_resource_type(value, resource_type)
    return _validate(context, data, parameters, _validate_id(value, resource_id, mode))


def _is_operation_input(value: Any, resource_type: str) -> bool:
    """Return True for the Parameters of the operation, False for the resource to validate."""
    if not isinstance(value, dict) or value.get("resourceType") != "Parameters":
        return False
    rows = value.get("parameter")
    names = {row.get("name") for row in rows if isinstance(row, dict)} if rows else set()
    return resource_type != "Parameters" or "resource" in names


def _validate_id(value: Any, resource_id: str | None, mode: str | None) -> tuple[Issue, ...]:
    """Return what the interaction of a mode would report about the id."""
    if not isinstance(value, dict):
        return ()
    path, own_id = f"{value['resourceType']}.id", value.get("id")
    if resource_id is not None and own_id != resource_id:
        return (Issue("error", "invalid", path, ID_MISMATCH),)
    if mode == "create" and own_id is not None:
        message = "a create assigns a new id and ignores this one: remove it, or use an update"
        return (Issue("warning", "informational", path, message),)
    if mode == "update" and own_id is None:
        return (Issue("error", "required", path, "id is required for an update: add it"),)
    return ()


def _validate_delete(
    context: RequestContext, resource_type: str, resource_id: str | None
) -> JsonResponse:
    """Respond whether a resource could be deleted.

    Raises:
        RequestError: 400 without an id, 403 if it may not be deleted.

    """
    if resource_id is None:
        message = "mode delete requires an id in the URL: POST TYPE/ID/$validate"
        raise RequestError(400, "required", message)
    current_version(context, resource_type, resource_id)
    if context.access.limits(resource_type, "d") is None:
        message = f"the access token does not allow deleting {resource_type}: request scope d"
        raise RequestError(403, "forbidden", message)
    return _respond(context, ())


def _validate(
    context: RequestContext,
    data: Any,
    parameters: OperationParameters,
    issues: tuple[Issue, ...] = (),
) -> JsonResponse:
    """Validate JSON, parsed or not; respond with its issues after those given.

    Raises:
        RequestError: 400 if a profile is invalid or missing, 404 if it is unknown.

    """
    profiles = parameters.all("profile")
    if not all(isinstance(profile, str) for profile in profiles):
        raise RequestError(400, "value", "parameter profile must be the canonical URL of a profile")
    if parameters.text("mode") == "profile" and not profiles:
        raise RequestError(
            400, "required", "mode profile requires a profile: add parameter profile"
        )
    with context.server.policy.validator() as validator:
        try:
            report = validator.validate(data, profiles=profiles, positions=True)
        except ValueError as error:
            message = "a requested profile is unknown: load its package by FHIR_B12_PACKAGES"
            raise RequestError(404, "not-found", message) from error
    return _respond(context, (*issues, *report))


def _respond(context: RequestContext, issues: tuple[Issue, ...]) -> JsonResponse:
    return json_response(dumps(outcome(issues)), result_format=context.result_format)


_DEFINITION = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
_INSTANCE = "<stored:resource_type>/<resource_id>/$validate"
ROUTES = (
    Route("$validate", ("POST",), "<any_type:resource_type>/$validate", validate, _DEFINITION),
    Route("$validate", ("POST",), _INSTANCE, validate_update, _DEFINITION),
    Route("$validate", ("GET",), _INSTANCE, validate_stored, _DEFINITION),
)
