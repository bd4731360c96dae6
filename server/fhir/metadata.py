"""The CapabilityStatement, built from the routes.  https://hl7.org/fhir/R4/capabilitystatement.html"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.guide.definitions import profiles, settings
from fhir_b12.jsonio import dumps
from fhir_b12.server.auth.authorizer import OpenAccess
from fhir_b12.server.context import RequestContext, Route, ServerContext
from fhir_b12.server.fhir import conformance
from fhir_b12.server.resource_types import READ_ONLY, SHIPPED, STORED, TYPES
from fhir_b12.server.search.parameters import parameter_names, parameters
from fhir_b12.server.wire.response import JsonResponse, json_response

Json = dict[str, Any]
#: first part of a rule -> the types that it matches
_TYPES_OF_RULE = {
    "<writable:resource_type>": TYPES,
    "<stored:resource_type>": STORED,
    "<shipped:resource_type>": SHIPPED,
    "<any_type:resource_type>": R4.resource_types,
}
#: https://hl7.org/fhir/R4/valueset-type-restful-interaction.html
_INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create",
    "search-type",
)  # fmt: skip
_CONDITIONAL = {
    "conditional-update": ("conditionalUpdate", True),
    "conditional-delete": ("conditionalDelete", "single"),
}
_REFERENCES = ["literal", "logical", "local"]


def metadata(context: RequestContext) -> JsonResponse:
    """Answer `GET metadata`."""
    return json_response(_serialized(context.server), result_format=context.result_format)


@lru_cache(maxsize=4)
def _serialized(server: ServerContext) -> bytes:
    """Return the CapabilityStatement as JSON; it does not change while the server runs."""
    return dumps(capability_statement(server))


def capability_statement(server: ServerContext) -> Json:
    """Build the CapabilityStatement of a running server."""
    guide = settings()
    routes = server.routes
    rest: Json = {
        "mode": "server",
        "security": _security(server),
        "resource": [_resource(name, routes) for name in sorted((*STORED, *SHIPPED))],
        "interaction": [
            {"code": code}
            for code in ("transaction", "batch")
            if any(route.code == code for route in routes)
        ],
    }
    if operations := list(_operations(routes, None)):
        rest["operation"] = operations
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": guide["date"],
        "publisher": guide["publisher"],
        "kind": "instance",
        "software": {"name": "fhir-b12", "version": guide["version"]},
        "implementation": {
            "description": "Vitamin B12 infusion therapy data in FHIR R4",
            "url": server.config.base,
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [rest],
    }


def _security(server: ServerContext) -> Json:
    cors = {"cors": bool(server.config.cors)}
    if isinstance(server.authorizer, OpenAccess):
        return cors | {"description": "No authorization; the server listens on loopback only."}
    service = {
        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
        "code": "SMART-on-FHIR",
    }
    return cors | {
        "service": [{"coding": [service]}],
        "description": "SMART Backend Services; see .well-known/smart-configuration.",
    }


def _resource(resource_type: str, routes: tuple[Route, ...]) -> Json:
    """Return what is supported for a resource type."""
    codes = {
        route.code
        for route in routes
        for prefix, types in _TYPES_OF_RULE.items()
        if route.rule.startswith(prefix) and resource_type in types
    }
    row: Json = {"type": resource_type}
    if supported := _profiles(resource_type):
        row["supportedProfile"] = supported
    row["interaction"] = [{"code": code} for code in _INTERACTIONS if code in codes]
    if resource_type not in SHIPPED:
        row |= {"versioning": "versioned-update", "readHistory": True}
        row |= {"conditionalRead": "full-support", "referencePolicy": _REFERENCES}
    if resource_type in TYPES:
        row |= {"updateCreate": True, "conditionalCreate": True}
        row |= dict(value for code, value in _CONDITIONAL.items() if code in codes)
    row |= _search(resource_type)
    if operations := list(_operations(routes, resource_type)):
        row["operation"] = operations
    return row


def _profiles(resource_type: str) -> list[str]:
    return [
        profile["url"]
        for profile in profiles()
        if profile["type"] == resource_type and profile["kind"] == "resource"
    ]


def _search(resource_type: str) -> Json:
    """Return the search parameters of a type, and what they can include."""
    if resource_type in SHIPPED:
        rows = [{"name": name, "type": kind} for name, kind in conformance.PARAMETERS.items()]
        return {"searchParam": rows}
    supported_names = parameter_names(resource_type)
    supported = [
        parameter
        for code, parameter in sorted(R4.search_parameters(resource_type).items())
        if code in supported_names
    ]
    row: Json = {
        "searchInclude": ["*", *_includes(resource_type)],
        "searchRevInclude": sorted(
            name for source in (*TYPES, *READ_ONLY) for name in _includes(source, resource_type)
        ),
        "searchParam": [
            {"name": parameter.code, "definition": parameter.url, "type": parameter.type}
            for parameter in supported
        ],
    }
    return {name: value for name, value in row.items() if value}


def _includes(resource_type: str, target: str | None = None) -> list[str]:
    """Return the reference parameters of a type, those to a target type if one is named."""
    return [
        f"{resource_type}:{code}"
        for code, parameter in sorted(R4.search_parameters(resource_type).items())
        if parameter.type == "reference"
        and code in parameters(resource_type)
        and (target is None or target in parameter.target)
    ]


def _operations(routes: tuple[Route, ...], resource_type: str | None) -> Iterator[Json]:
    """Yield the operations of a type, or of the system if it is None, each once."""
    definitions: dict[str, str] = {}
    for route in routes:
        if route.code.startswith("$") and _is_operation_of(route.rule, resource_type):
            definitions.setdefault(route.code[1:], route.definition)
    yield from ({"name": name, "definition": url} for name, url in definitions.items())


def _is_operation_of(rule: str, resource_type: str | None) -> bool:
    first = rule.partition("/")[0]
    if resource_type is None:
        return first.startswith("$")
    return first == resource_type or resource_type in _TYPES_OF_RULE.get(first, ())


ROUTES = (Route("capabilities", ("GET",), "metadata", metadata, is_public=True),)
