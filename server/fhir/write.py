"""Create, update, patch, delete, each with or without a condition.

https://hl7.org/fhir/R4/http.html#create https://hl7.org/fhir/R4/http.html#update
"""

from typing import Any

from flask import request

from fhir_b12.jsonio import loads
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import responses
from fhir_b12.server.fhir.context import Route, apply, facade, parse
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Change
from fhir_b12.server.wire.body import read_body, read_resource
from fhir_b12.server.wire.conditional_headers import parse_if_match
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import PATCH_JSON, require_media_type
from fhir_b12.server.wire.query import Pairs, parse_criteria, parse_query_string
from fhir_b12.server.wire.response import JsonResponse


def create(kind: str) -> JsonResponse:
    """`POST Type`, with If-None-Exist only if nothing matches.

    fhirpy writes the condition as the query of the url; making a second one would do harm.
    """
    here = facade()
    resource = read_resource(request, here.config, kind)
    header = request.headers.get("If-None-Exist")
    if header is not None and not header.isascii():
        raise refuse(400, "invalid", "If-None-Exist is not percent-encoded")
    condition = none_exist(header, kind)
    if condition is None and (asked := _asked()):
        condition = the_one(kind, asked)
    advice = here.policy.check(resource)
    change = Change(method="POST", type=kind, resource=resource, criteria=condition)
    return responses.written(apply([change])[0], advice)


def update(kind: str, name: str) -> JsonResponse:
    """`PUT Type/id`; creates where there is none."""
    here = facade()
    resource = read_resource(request, here.config, kind)
    check_id(resource, name)
    advice = here.policy.check(resource)
    change = Change(method="PUT", type=kind, id=name, resource=resource, if_match=_if_match())
    return responses.written(apply([change])[0], advice)


def update_found(kind: str) -> JsonResponse:
    """`PUT Type?query`: the one that matches, or a new one.  https://hl7.org/fhir/R4/http.html#cond-update"""
    here = facade()
    resource = read_resource(request, here.config, kind)
    condition = the_one(kind, _asked())
    name = resource.get("id")
    if name is not None and not is_id(name):
        raise refuse(400, "value", "the id is none", f"{kind}.id")
    advice = here.policy.check(resource)
    change = Change(
        method="PUT", type=kind, id=name, resource=resource, criteria=condition,
        if_match=_if_match(),
    )  # fmt: skip
    return responses.written(apply([change])[0], advice)


def patch(kind: str, name: str) -> JsonResponse:
    """`PATCH Type/id` by JSON Patch.  https://hl7.org/fhir/R4/http.html#patch"""
    change = Change(
        method="PATCH", type=kind, id=_named(kind, name), patch=_operations(), if_match=_if_match()
    )
    return responses.written(apply([change], check=facade().policy.hold)[0])


def patch_found(kind: str) -> JsonResponse:
    """`PATCH Type?query`: the one that matches."""
    operations, condition = _operations(), the_one(kind, _asked())
    change = Change(
        method="PATCH", type=kind, criteria=condition, patch=operations, if_match=_if_match()
    )
    return responses.written(apply([change], check=facade().policy.hold)[0])


def delete(kind: str, name: str) -> JsonResponse:
    """`DELETE Type/id`; what is not there is deleted already.  https://hl7.org/fhir/R4/http.html#delete"""
    change = Change(method="DELETE", type=kind, id=_named(kind, name), if_match=_if_match())
    return responses.written(apply([change])[0])


def delete_found(kind: str) -> JsonResponse:
    """`DELETE Type?query`: the one that matches.  https://hl7.org/fhir/R4/http.html#3.1.0.7.1"""
    change = Change(method="DELETE", type=kind, criteria=the_one(kind, _asked()))
    return responses.written(apply([change])[0])


# --- what they share, with transactions too


def check_id(resource: dict[str, Any], name: str) -> None:
    """Refuse a resource whose id is not that of its url."""
    kind = resource["resourceType"]
    if not is_id(name):
        raise refuse(400, "value", "an id has 1 to 64 of A-Z a-z 0-9 - .", f"{kind}.id")
    if resource.get("id") != name:
        raise refuse(400, "invalid", "the id is not the one that the url names", f"{kind}.id")


def none_exist(header: str | None, kind: str) -> Query | None:
    """The condition of a create."""
    if header is None:
        return None
    return the_one(kind, parse_criteria(header, kind, facade().config))


def the_one(kind: str, asked: Pairs) -> Query:
    """The condition that finds what to write to: it must say what it looks for, in known words."""
    query = parse(kind, asked, strict=True) if asked else None
    if query is None or not query.criteria:
        raise refuse(412, "incomplete", "the condition is empty; name what must match")
    return query


def operations_of(value: Any) -> list[Any]:
    """The operations of a JSON Patch."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise refuse(400, "structure", "the body is no JSON Patch, which is a list of operations")
    return value


def _operations() -> list[Any]:
    config = facade().config
    require_media_type(request, {PATCH_JSON})
    return operations_of(loads(read_body(request, config), max_bytes=config.max_body))


def _named(kind: str, name: str) -> str:
    if not is_id(name):
        raise responses.unknown(kind)
    return name


def _if_match() -> int | None:
    if "If-None-Match" in request.headers:
        message = "If-None-Match is for reads; create on condition with PUT Type?query"
        raise refuse(400, "not-supported", message)
    return parse_if_match(request.headers.get("If-Match"))


def _asked() -> Pairs:
    shape = {"_format", "_pretty", "_summary", "_elements"}
    if not request.query_string:
        return []
    found = parse_query_string(request.query_string, facade().config)
    return [pair for pair in found if pair[0] not in shape]


ROUTES = (
    Route("create", ("POST",), "<kept:kind>", create),
    Route("update", ("PUT",), "<kept:kind>/<name>", update),
    Route("conditional-update", ("PUT",), "<kept:kind>", update_found),
    Route("patch", ("PATCH",), "<kept:kind>/<name>", patch),
    Route("conditional-patch", ("PATCH",), "<kept:kind>", patch_found),
    Route("delete", ("DELETE",), "<kept:kind>/<name>", delete),
    Route("conditional-delete", ("DELETE",), "<kept:kind>", delete_found),
)
