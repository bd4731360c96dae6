"""What this server can do, made of what is registered.  https://hl7.org/fhir/R4/capabilitystatement.html"""

from collections.abc import Iterator
from typing import Any

from flask import current_app

from fhir_b12.definitions import R4
from fhir_b12.guide.definitions import profiles, settings
from fhir_b12.jsonio import dumps
from fhir_b12.server.fhir import conformance
from fhir_b12.server.fhir.context import Facade, Open, Route, facade, form
from fhir_b12.server.resource_types import READ_ONLY, SHIPPED, STORED, TYPES
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.wire.response import JsonResponse, json_response

Resource = dict[str, Any]
#: which types a route answers for, by the converter in its rule
_ANSWERED = {
    "<kept:kind>": TYPES,
    "<stored:kind>": STORED,
    "<shipped:kind>": SHIPPED,
    "<resource:kind>": R4.resource_types,
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


def metadata() -> JsonResponse:
    """`GET metadata`; made once, for nothing in it changes while the server runs."""
    kept = current_app.extensions
    if "fhir_b12_metadata" not in kept:
        kept["fhir_b12_metadata"] = dumps(capability_statement(facade()))
    return json_response(kept["fhir_b12_metadata"], result_format=form())


def capability_statement(here: Facade) -> Resource:
    """The CapabilityStatement of a running server."""
    known = settings()
    routes = here.routes
    rest: Resource = {
        "mode": "server",
        "security": _security(here),
        "resource": [_type(kind, routes) for kind in sorted((*STORED, *SHIPPED))],
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
        "date": known["date"],
        "publisher": known["publisher"],
        "kind": "instance",
        "software": {"name": "fhir-b12", "version": known["version"]},
        "implementation": {
            "description": "Vitamin B12 infusion therapy data in FHIR R4",
            "url": here.config.base,
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        "rest": [rest],
    }


def _security(here: Facade) -> Resource:
    cors = {"cors": bool(here.config.cors)}
    if isinstance(here.guard, Open):
        return cors | {"description": "Open to all who reach it; it listens on loopback only."}
    service = {
        "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
        "code": "SMART-on-FHIR",
    }
    return cors | {
        "service": [{"coding": [service]}],
        "description": "SMART Backend Services; see .well-known/smart-configuration.",
    }


def _type(kind: str, routes: tuple[Route, ...]) -> Resource:
    """What can be done with a type."""
    codes = {
        route.code
        for route in routes
        for mark, kinds in _ANSWERED.items()
        if route.rule.startswith(mark) and kind in kinds
    }
    row: Resource = {"type": kind}
    if ours := _profiles(kind):
        row["supportedProfile"] = ours
    row["interaction"] = [{"code": code} for code in _INTERACTIONS if code in codes]
    if kind not in SHIPPED:
        row |= {"versioning": "versioned-update", "readHistory": True}
        row |= {"conditionalRead": "full-support", "referencePolicy": _REFERENCES}
    if kind in TYPES:
        row |= {"updateCreate": True, "conditionalCreate": True}
        row |= dict(value for code, value in _CONDITIONAL.items() if code in codes)
    row |= _searches(kind)
    if operations := list(_operations(routes, kind)):
        row["operation"] = operations
    return row


_REFERENCES = ["literal", "logical", "local"]


def _profiles(kind: str) -> list[str]:
    return [
        profile["url"]
        for profile in profiles()
        if profile["type"] == kind and profile["kind"] == "resource"
    ]


def _searches(kind: str) -> Resource:
    """The parameters of a type; with references, what may be included by them."""
    if kind in SHIPPED:
        rows = [{"name": name, "type": what} for name, what in conformance.PARAMETERS.items()]
        return {"searchParam": rows}
    known = [
        each for _, each in sorted(R4.search_parameters(kind).items()) if _is_known(kind, each.code)
    ]
    row: Resource = {
        "searchInclude": ["*", *_includes(kind)],
        "searchRevInclude": sorted(
            name for other in (*TYPES, *READ_ONLY) for name in _includes(other, kind)
        ),
        "searchParam": [
            {"name": each.code, "definition": each.url, "type": each.type} for each in known
        ],
    }
    return {name: value for name, value in row.items() if value}


def _is_known(kind: str, code: str) -> bool:
    return code in {"_id", "_lastUpdated"} or code in parameters(kind)


def _includes(kind: str, target: str | None = None) -> list[str]:
    return [
        f"{kind}:{code}"
        for code, each in sorted(R4.search_parameters(kind).items())
        if each.type == "reference"
        and code in parameters(kind)
        and (target is None or target in each.target)
    ]


def _operations(routes: tuple[Route, ...], kind: str | None) -> Iterator[Resource]:
    """The operations of a type, or of the whole, each once."""
    named: dict[str, str] = {}
    for route in routes:
        if route.code.startswith("$") and _owner(route.rule, kind):
            named.setdefault(route.code[1:], route.definition)
    yield from ({"name": name, "definition": url} for name, url in named.items())


def _owner(rule: str, kind: str | None) -> bool:
    """Whether an operation's rule is of this type; `$export` is of none."""
    first = rule.partition("/")[0]
    if kind is None:
        return first.startswith("$")
    return first == kind or kind in _ANSWERED.get(first, ())


ROUTES = (Route("capabilities", ("GET",), "metadata", metadata, public=True),)
