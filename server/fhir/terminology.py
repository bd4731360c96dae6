"""`$expand`, `$validate-code` and `$translate`, by the terminology that ships with the library.

https://hl7.org/fhir/R4/terminology-service.html
"""

from collections.abc import Iterator
from typing import Any

from fhir_b12.jsonio import dumps
from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir import conformance
from fhir_b12.server.fhir.lookup import NotFoundError
from fhir_b12.server.fhir.parameters import (
    OperationParameters,
    parameters_response,
    read_parameters,
)
from fhir_b12.server.fhir.responses import parse_version
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.timestamps import format_instant
from fhir_b12.validation.terminology.service import Terminology

Json = dict[str, Any]
_CODE_PARAMETERS = ("code", "system", "display", "version", "coding", "codeableConcept")


# --- https://hl7.org/fhir/R4/valueset-operation-expand.html


def expand(context: RequestContext, resource_id: str | None = None) -> JsonResponse:
    """Answer `ValueSet/$expand`: the codes of a value set, filtered by text, a page of them.

    Raises:
        RequestError: 404 if the value set is unknown.
        UndecidableError: a code system that is needed is missing here.

    """
    parameters = read_parameters(context, ("url", "filter", "offset", "count"))
    url = _canonical_url(parameters, "ValueSet", resource_id)
    words = (parameters.text("filter") or "").casefold().split()
    with context.server.policy.validator() as validator:
        terminology = validator.terminology
        _require_value_set(terminology, url)
        codes = terminology.expand(url)
        if codes is None:
            raise UndecidableError
        value_set = validator.canonicals.value_set(url) or {}
        rows = [
            {"system": system, "code": code} | ({"display": display} if display else {})
            for system, codes_of_system in sorted(codes.items())
            for code in sorted(codes_of_system)
            for display in (terminology.display(system, code),)
            if all(word in f"{code} {display or ''}".casefold() for word in words)
        ]
    first, count = parameters.number("offset") or 0, parameters.number("count")
    page = rows[first:] if count is None else rows[first : first + count]
    expansion: Json = {
        "timestamp": format_instant(context.now),
        "total": len(rows),
        "offset": first,
    } | ({"contains": page} if page else {})
    omitted = {"compose", "text", "expansion"}
    head = {name: value for name, value in value_set.items() if name not in omitted}
    resource = {"resourceType": "ValueSet"} | head | {"expansion": expansion}
    return json_response(dumps(resource), result_format=context.result_format)


# --- https://hl7.org/fhir/R4/valueset-operation-validate-code.html


def validate_code_in_value_set(
    context: RequestContext, resource_id: str | None = None
) -> JsonResponse:
    """Answer `ValueSet/$validate-code`: whether a code, or one of a concept, is in a value set.

    Raises:
        RequestError: 404 if the value set is unknown.

    """
    parameters = read_parameters(context, ("url", *_CODE_PARAMETERS))
    url = _canonical_url(parameters, "ValueSet", resource_id)
    with context.server.policy.validator() as validator:
        terminology = validator.terminology
        _require_value_set(terminology, url)
        return _validate_codings(context, terminology, _codings(parameters), url)


def validate_code_in_code_system(
    context: RequestContext, resource_id: str | None = None
) -> JsonResponse:
    """Answer `CodeSystem/$validate-code`: whether a code is in a code system.

    https://hl7.org/fhir/R4/codesystem-operation-validate-code.html

    Raises:
        RequestError: 400 if url and the system of the code differ.

    """
    parameters = read_parameters(context, ("url", *_CODE_PARAMETERS))
    url = parameters.text("url")
    if resource_id is not None:
        url = _canonical_url(parameters, "CodeSystem", resource_id)
    codings = [{"system": url} | coding for coding in _codings(parameters)]
    if url is not None and any(coding["system"] != url for coding in codings):
        message = "url and the system of the code differ: send one of them"
        raise RequestError(400, "invalid", message)
    with context.server.policy.validator() as validator:
        return _validate_codings(context, validator.terminology, codings, None)


def _validate_codings(
    context: RequestContext, terminology: Terminology, codings: list[Json], value_set: str | None
) -> JsonResponse:
    """Respond true if one coding is valid, false if all are invalid; otherwise raise 422.

    Raises:
        UndecidableError: a code system that is needed is missing here.

    """
    results = [_is_valid(terminology, coding, value_set) for coding in codings]
    if True in results:
        coding = codings[results.index(True)]
        system, code = coding.get("system"), coding["code"]
        if not system and value_set:
            system = terminology.system_of_code(value_set, code)
        display = terminology.display(system, code) if system else None
        return parameters_response(
            context, ("result", "valueBoolean", True), ("display", "valueString", display)
        )
    if None in results:
        raise UndecidableError
    where = "value set" if value_set else "code system"
    message = f"the code is not in the {where}, or has another display"
    return parameters_response(
        context, ("result", "valueBoolean", False), ("message", "valueString", message)
    )


def _is_valid(terminology: Terminology, coding: Json, value_set: str | None) -> bool | None:
    """Return whether a coding is in a value set, or its code system; None if unknown.

    Raises:
        RequestError: 400 if code or system is missing or not a text.

    """
    system, code, display = (coding.get(name) for name in ("system", "code", "display"))
    if not isinstance(code, str) or not isinstance(system or "", str):
        raise RequestError(400, "value", "code and system must be texts")
    if system is None:
        if value_set is None:
            message = "system is required: a code has a meaning only in a code system"
            raise RequestError(400, "required", message)
        return terminology.contains(value_set, None, code)
    result = terminology.validate_code(system, code, value_set=value_set)
    concept = terminology.lookup(system, code) if result and display else None
    if concept is None:
        return result
    displays = {text.casefold() for text in concept.displays_in(None)}
    return str(display).casefold() in displays if displays else result


def _codings(parameters: OperationParameters) -> list[Json]:
    """Return the codings that an operation is about.

    Raises:
        RequestError: 400 if there is none.

    """
    codings = parameters.codings()
    if not codings:
        message = "a code is required: send code and system, coding, or codeableConcept"
        raise RequestError(400, "required", message)
    return codings


# --- https://hl7.org/fhir/R4/conceptmap-operation-translate.html


def translate(context: RequestContext, resource_id: str | None = None) -> JsonResponse:
    """Answer `ConceptMap/$translate`: by one map, or from code to code through our own keys.

    Raises:
        NotFoundError: the map is unknown.
        RequestError: 400 if value sets are given by `source` or `target`.

    """
    names = ("url", "source", "target", "targetsystem", "reverse", *_CODE_PARAMETERS)
    parameters = read_parameters(context, names)
    url, target_system = parameters.text("url"), parameters.text("targetsystem")
    maps = [
        definition
        for definition in conformance.definitions()
        if definition["resourceType"] == "ConceptMap"
        and (resource_id is None or definition["id"] == resource_id)
        and (url is None or definition["url"] == url)
    ]
    if not maps:
        raise NotFoundError("ConceptMap")
    if parameters.text("source") or parameters.text("target"):
        message = "source and target are not supported: use url of the map, and targetsystem"
        raise RequestError(400, "not-supported", message)
    is_reverse, through_keys = parameters.flag("reverse"), resource_id is None and url is None
    rows = [
        ("match", "part", _match(equivalence, system, code, map_url))
        for coding in _codings(parameters)
        for concept_map in maps
        for equivalence, system, code, map_url in _targets(
            concept_map, coding, is_reverse=is_reverse, through_keys=through_keys
        )
        if target_system in {None, system}
    ]
    explanation = None if rows else "no map has this code"
    has_match = any(part[0]["valueCode"] not in _NO_MATCH for _, _, part in rows)
    return parameters_response(
        context,
        ("result", "valueBoolean", has_match),
        ("message", "valueString", explanation),
        *rows,
    )


_NO_MATCH = {"unmatched", "disjoint"}
#: https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html in the reverse direction
_REVERSED = {"wider": "narrower", "narrower": "wider"}
_Target = tuple[str, str, str, str]


def _targets(
    concept_map: Json, coding: Json, *, is_reverse: bool, through_keys: bool
) -> Iterator[_Target]:
    """Yield equivalence, system, code and map URL of what a code is mapped to."""
    system, code = coding.get("system"), coding.get("code")
    url = concept_map["url"]
    rows = list(_map_rows(concept_map))
    for key_system, key, equivalence, target_system, target in rows:
        if is_reverse and (target_system, target) == (system, code):
            yield _REVERSED.get(equivalence, equivalence), key_system, key, url
        elif not is_reverse and (key_system, key) == (system, code):
            yield equivalence, target_system, target, url
    if not through_keys or is_reverse:
        return
    # a code equivalent to one of our keys maps to what the key maps to
    keys = {
        key
        for _, key, equivalence, target_system, target in rows
        if equivalence == "equivalent" and (target_system, target) == (system, code)
    }
    for _, key, equivalence, target_system, target in rows:
        if key in keys and (target_system, target) != (system, code):
            yield equivalence, target_system, target, url


def _map_rows(concept_map: Json) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield source system and code, equivalence, target system and code."""
    for group in concept_map["group"]:
        for element in group["element"]:
            for target in element.get("target", ()):
                yield (
                    group["source"], element["code"], target["equivalence"], group["target"],
                    target["code"],
                )  # fmt: skip


def _match(equivalence: str, system: str, code: str, url: str) -> list[Json]:
    return [
        {"name": "equivalence", "valueCode": equivalence},
        {"name": "concept", "valueCoding": {"system": system, "code": code}},
        {"name": "source", "valueUri": url},
    ]


# --- shared


def _canonical_url(
    parameters: OperationParameters, resource_type: str, resource_id: str | None
) -> str:
    """Return the URL of the definition that an operation is about, by id or by `url`.

    Raises:
        RequestError: 400 if `url` is missing, or not that of the definition.
        NotFoundError: the definition is unknown.

    """
    url = parameters.text("url")
    if resource_id is None:
        if url is None:
            message = f"url is required: add the canonical URL of the {resource_type}"
            raise RequestError(400, "required", message)
        return url
    definition = conformance.definitions_by_id(resource_type).get(resource_id)
    if definition is None:
        raise NotFoundError(resource_type)
    own_url = str(parse_version(definition)["url"])
    if url not in {None, own_url}:
        message = f"url is not that of this {resource_type}: remove it"
        raise RequestError(400, "invalid", message)
    return own_url


def _require_value_set(terminology: Terminology, url: str) -> None:
    """Check that a value set is known.

    Raises:
        RequestError: 404 if it is not.

    """
    if terminology.value_set(url) is None:
        raise RequestError(404, "not-found", "ValueSet not found: check its url")


class UndecidableError(RequestError):
    """422: a code system that is needed is not available on this server."""

    def __init__(self) -> None:
        message = "a code system that this needs is not available here: ask a terminology server"
        super().__init__(422, "not-supported", message)


def _routes(code: str, resource_type: str, handler: Any, definition: str) -> Iterator[Route]:
    url = f"http://hl7.org/fhir/OperationDefinition/{definition}"
    for rule in (f"{resource_type}/${code}", f"{resource_type}/<resource_id>/${code}"):
        yield Route(f"${code}", ("GET", "POST"), rule, handler, url)


ROUTES = (
    *_routes("expand", "ValueSet", expand, "ValueSet-expand"),
    *_routes("validate-code", "ValueSet", validate_code_in_value_set, "ValueSet-validate-code"),
    *_routes(
        "validate-code", "CodeSystem", validate_code_in_code_system, "CodeSystem-validate-code"
    ),
    *_routes("translate", "ConceptMap", translate, "ConceptMap-translate"),
)
