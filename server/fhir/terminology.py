"""`$expand`, `$validate-code`, `$translate`: what the library knows of codes, and no other server.

https://hl7.org/fhir/R4/terminology-service.html
"""

from collections.abc import Iterator
from typing import Any

from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import conformance, responses
from fhir_b12.server.fhir.context import Route, facade, form
from fhir_b12.server.fhir.parameters import Inputs, inputs, parameters
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.timestamps import format_instant
from fhir_b12.validation.terminology.service import Terminology

Json = dict[str, Any]
_CODED = ("code", "system", "display", "version", "coding", "codeableConcept")


# --- https://hl7.org/fhir/R4/valueset-operation-expand.html


def expand(name: str | None = None) -> JsonResponse:
    """`ValueSet/$expand`: the codes of a value set, those that have a text, a part of them."""
    asked = inputs(("url", "filter", "offset", "count"))
    url = _canonical(asked, "ValueSet", name)
    words = (asked.text("filter") or "").casefold().split()
    with facade().policy.validator() as validator:
        known = validator.terminology
        codes = known.expand(url)
        if codes is None:
            raise _undecided(known, url)
        resource = validator.canonicals.value_set(url)
        rows = [
            {"system": system, "code": code} | ({"display": text} if text else {})
            for system, listed in sorted(codes.items())
            for code in sorted(listed)
            for text in (known.display(system, code),)
            if all(word in f"{code} {text or ''}".casefold() for word in words)
        ]
    first, count = asked.number("offset") or 0, asked.number("count")
    part = rows[first:] if count is None else rows[first : first + count]
    expansion = {
        "timestamp": format_instant(facade().clock()),
        "total": len(rows),
        "offset": first,
    } | ({"contains": part} if part else {})
    left_out = {"compose", "text", "expansion"}
    head = {each: value for each, value in (resource or {}).items() if each not in left_out}
    head = {"resourceType": "ValueSet"} | head | {"expansion": expansion}
    return json_response(dumps(head), result_format=form())


# --- https://hl7.org/fhir/R4/valueset-operation-validate-code.html


def validate_code(name: str | None = None) -> JsonResponse:
    """`ValueSet/$validate-code`: whether a code, or one of a concept's, is in the value set."""
    asked = inputs(("url", *_CODED))
    url = _canonical(asked, "ValueSet", name)
    with facade().policy.validator() as validator:
        known = validator.terminology
        if known.value_set(url) is None:
            raise responses.unknown("ValueSet")
        return _judged(known, _coded(asked), url)


def validate_code_of_system(name: str | None = None) -> JsonResponse:
    """`CodeSystem/$validate-code`  https://hl7.org/fhir/R4/codesystem-operation-validate-code.html"""
    asked = inputs(("url", *_CODED))
    url = asked.text("url") if name is None else _canonical(asked, "CodeSystem", name)
    codings = [{"system": url} | each for each in _coded(asked)]
    if url is not None and any(each["system"] != url for each in codings):
        raise refuse(400, "invalid", "url and the system of the code are not the same")
    with facade().policy.validator() as validator:
        return _judged(validator.terminology, codings, None)


def _judged(known: Terminology, codings: list[Json], value_set: str | None) -> JsonResponse:
    """True for the first that is in; false where all are out; else it cannot be told."""
    said = [_verdict(known, each, value_set) for each in codings]
    if True in said:
        right = codings[said.index(True)]
        system = right.get("system") or (
            known.system_of_code(value_set, right["code"]) if value_set else ""
        )
        display = known.display(system, right["code"]) if system else None
        return parameters(("result", "valueBoolean", True), ("display", "valueString", display))
    if None in said:
        raise _undecided(known, value_set)
    where = "the value set" if value_set else "the code system"
    message = f"the code is not in {where}, or its display is another"
    return parameters(("result", "valueBoolean", False), ("message", "valueString", message))


def _verdict(known: Terminology, coding: Json, value_set: str | None) -> bool | None:
    system, code, display = (coding.get(name) for name in ("system", "code", "display"))
    if not isinstance(code, str) or not isinstance(system or "", str):
        raise refuse(400, "value", "code and system are texts")
    if system is None:
        if value_set is None:
            raise refuse(400, "required", "system is missing; a code alone means nothing")
        return known.contains(value_set, None, code)
    said = known.validate_code(system, code, value_set=value_set)
    concept = known.lookup(system, code) if said and display else None
    if concept is None:
        return said
    right = {each.casefold() for each in concept.displays_in(None)}
    return str(display).casefold() in right if right else said


def _coded(asked: Inputs) -> list[Json]:
    found = asked.coding()
    if not found:
        raise refuse(400, "required", "there is no code; give code and system, or coding")
    return found


# --- https://hl7.org/fhir/R4/conceptmap-operation-translate.html


def translate(name: str | None = None) -> JsonResponse:
    """`ConceptMap/$translate`: by one of our maps, or from code to code through our own keys."""
    asked = inputs(("url", "source", "target", "targetsystem", "reverse", *_CODED))
    wanted, target = asked.text("url"), asked.text("targetsystem")
    maps = [
        each
        for each in conformance.definitions()
        if each["resourceType"] == "ConceptMap"
        and (name is None or each["id"] == name)
        and (wanted is None or each["url"] == wanted)
    ]
    if not maps:
        raise responses.unknown("ConceptMap")
    if asked.text("source") or asked.text("target"):
        message = "source and target are value sets; ask by url of the map and targetsystem"
        raise refuse(400, "not-supported", message)
    backwards, through = asked.flag("reverse"), name is None and wanted is None
    rows = [
        ("match", "part", _match(equivalence, system, code, url))
        for coding in _coded(asked)
        for each in maps
        for equivalence, system, code, url in _targets(each, coding, backwards, through)
        if target in {None, system}
    ]
    silent = None if rows else "no map has this code"
    found = any(part[0]["valueCode"] not in _NO_MATCH for _, _, part in rows)
    return parameters(("result", "valueBoolean", found), ("message", "valueString", silent), *rows)


_NO_MATCH = {"unmatched", "disjoint"}
#: https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html seen from the other side
_BACKWARDS = {"wider": "narrower", "narrower": "wider"}
_Target = tuple[str, str, str, str]


def _targets(map_: Json, coding: Json, backwards: bool, through: bool) -> Iterator[_Target]:
    """Equivalence, system, code and map of what a code is mapped to."""
    system, code = coding.get("system"), coding.get("code")
    forward = list(_rows(map_))
    for key_system, key, equivalence, other, target in forward:
        if backwards and (other, target) == (system, code):
            yield _BACKWARDS.get(equivalence, equivalence), key_system, key, map_["url"]
        elif not backwards and (key_system, key) == (system, code):
            yield equivalence, other, target, map_["url"]
    if not through or backwards:
        return
    # a code that means one of our keys means what the key means
    keys = {
        key
        for _, key, equivalence, other, target in forward
        if equivalence == "equivalent" and (other, target) == (system, code)
    }
    for _, key, equivalence, other, target in forward:
        if key in keys and (other, target) != (system, code):
            yield equivalence, other, target, map_["url"]


def _rows(map_: Json) -> Iterator[tuple[str, str, str, str, str]]:
    for group in map_["group"]:
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


# --- what they share


def _canonical(asked: Inputs, kind: str, name: str | None) -> str:
    """The url that is asked about: that of a definition by id, or the one given."""
    url = asked.text("url")
    if name is None:
        if url is None:
            raise refuse(400, "required", f"url is missing; name the {kind}")
        return url
    known = conformance.all_of(kind).get(name)
    if known is None:
        raise responses.unknown(kind)
    own = str(responses.as_value(known)["url"])
    if url not in {None, own}:
        raise refuse(400, "invalid", f"url is not that of this {kind}")
    return own


def _undecided(known: Terminology, url: str | None) -> Exception:
    if url is not None and known.value_set(url) is None:
        return responses.unknown("ValueSet")
    message = "this cannot be told here: a code system that it needs is not part of this server"
    return refuse(422, "not-supported", message)


def _routes(code: str, kind: str, handler: Any, definition: str) -> Iterator[Route]:
    url = f"http://hl7.org/fhir/OperationDefinition/{definition}"
    for rule in (f"{kind}/${code}", f"{kind}/<name>/${code}"):
        yield Route(f"${code}", ("GET", "POST"), rule, handler, url)


ROUTES = (
    *_routes("expand", "ValueSet", expand, "ValueSet-expand"),
    *_routes("validate-code", "ValueSet", validate_code, "ValueSet-validate-code"),
    *_routes("validate-code", "CodeSystem", validate_code_of_system, "CodeSystem-validate-code"),
    *_routes("translate", "ConceptMap", translate, "ConceptMap-translate"),
)
