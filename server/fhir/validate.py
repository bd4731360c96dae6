"""`$validate`: all that the validator says, and nothing is kept.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from typing import Any

from flask import request

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import responses
from fhir_b12.server.fhir.context import Route, access, facade, form, seen
from fhir_b12.server.fhir.parameters import Inputs, inputs, of_parameters
from fhir_b12.server.wire.body import read_body, require_resource_type
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import JSON, require_media_type
from fhir_b12.server.wire.query import parse_query_string
from fhir_b12.server.wire.response import JsonResponse, json_response

_KNOWN = ("resource", "mode", "profile")
_MODES = {"create", "update", "delete", "profile"}


def validate(kind: str) -> JsonResponse:
    """`POST Type/$validate`: a resource, or Parameters with one, a mode and profiles."""
    return _validated(kind, None)


def validate_update(kind: str, name: str) -> JsonResponse:
    """`POST Type/id/$validate`: as what is to stand there."""
    return _validated(kind, name)


def validate_stored(kind: str, name: str) -> JsonResponse:
    """`GET Type/id/$validate`: what stands there."""
    asked = inputs(_KNOWN[1:])
    version = facade().store.read(kind, name, access()) if is_id(name) else None
    if version is None:
        raise responses.unknown(kind)
    if version.body is None:
        raise responses.gone(version)
    seen((version,))
    return _told(version.body, asked)


def _validated(kind: str, name: str | None) -> JsonResponse:
    config = facade().config
    require_media_type(request, JSON)
    text = read_body(request, config)
    pairs: list[tuple[str, Any]] = list(parse_query_string(request.query_string, config))
    data: Any = text
    try:
        value = loads(text, max_bytes=config.max_body)
    except JsonError:
        value = None  # the validator says what is wrong with it
    if _is_wrapped(value, kind):
        pairs += of_parameters(value)
        data = Inputs(pairs).one("resource", dict)
        value = data
    asked = Inputs(pairs)
    mode = asked.text("mode")
    if mode not in {None, *_MODES}:
        raise refuse(400, "value", f"mode is none of {', '.join(sorted(_MODES))}")
    if mode == "delete":
        return _deletable(kind, name)
    if data is None or not text.strip():
        raise refuse(400, "required", "there is no resource to validate; send one")
    if isinstance(value, dict):
        require_resource_type(value, kind)
    return _told(data, asked, _of_mode(value, name, mode))


def _is_wrapped(value: Any, kind: str) -> bool:
    """Whether a body is the operation's Parameters and not what is to be validated."""
    if not isinstance(value, dict) or value.get("resourceType") != "Parameters":
        return False
    parts = value.get("parameter")
    names = {part.get("name") for part in parts if isinstance(part, dict)} if parts else set()
    return kind != "Parameters" or "resource" in names


def _of_mode(value: Any, name: str | None, mode: str | None) -> tuple[Issue, ...]:
    """What the server would say of the id."""
    if not isinstance(value, dict):
        return ()
    kind, known = value["resourceType"], value.get("id")
    if name is not None and known != name:
        return (Issue("error", "invalid", f"{kind}.id", "the id is not that of the url"),)
    if mode == "create" and known is not None:
        message = "the server gives a new resource an id of its own; this one will be lost"
        return (Issue("warning", "informational", f"{kind}.id", message),)
    if mode == "update" and known is None:
        return (Issue("error", "required", f"{kind}.id", "an update names the id; add it"),)
    return ()


def _deletable(kind: str, name: str | None) -> JsonResponse:
    """Whether a delete would find something, and may."""
    if name is None:
        raise refuse(400, "required", "mode delete is of one resource; name its id in the url")
    if facade().store.read(kind, name, access()) is None:
        raise responses.unknown(kind)
    if access().limits(kind, "d") is None:
        raise refuse(403, "forbidden", f"{kind} may not be deleted with this token")
    return _outcome(())


def _told(data: Any, asked: Inputs, more: tuple[Issue, ...] = ()) -> JsonResponse:
    profiles = asked.every("profile")
    if not all(isinstance(each, str) for each in profiles):
        raise refuse(400, "value", "a profile is a canonical url")
    if asked.text("mode") == "profile" and not profiles:
        raise refuse(400, "required", "mode profile asks for a profile; name one")
    with facade().policy.validator() as validator:
        try:
            report = validator.validate(data, profiles=profiles, positions=True)
        except ValueError as error:
            message = "a profile that is asked for is not known here"
            raise refuse(404, "not-found", message) from error
    return _outcome((*more, *report))


def _outcome(issues: tuple[Issue, ...]) -> JsonResponse:
    return json_response(dumps(outcome(issues)), result_format=form())


_URL = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
ROUTES = (
    Route("$validate", ("POST",), "<resource:kind>/$validate", validate, _URL),
    Route("$validate", ("POST",), "<stored:kind>/<name>/$validate", validate_update, _URL),
    Route("$validate", ("GET",), "<stored:kind>/<name>/$validate", validate_stored, _URL),
)
