"""What a resource, or all of a type, has been.  https://hl7.org/fhir/R4/http.html#history"""

from urllib.parse import urlencode

from flask import request

from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir import responses
from fhir_b12.server.fhir.context import Route, access, facade, form, seen
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.query import parse_query_string
from fhir_b12.server.wire.response import JsonResponse
from fhir_b12.server.wire.timestamps import parse_timestamp


def of_one(kind: str, name: str) -> JsonResponse:
    """`GET Type/id/_history`"""
    return _history(kind, name)


def of_type(kind: str) -> JsonResponse:
    """`GET Type/_history`"""
    return _history(kind, None)


def _history(kind: str, name: str | None) -> JsonResponse:
    here, allowed, wanted = facade(), access(), form()
    if name is not None and not is_id(name):
        raise responses.unknown(kind)
    asked = dict(parse_query_string(request.query_string, here.config))
    page = here.store.history(
        kind,
        name,
        since=_moment(asked, "_since"),
        at=_moment(asked, "_at"),
        count=_count(asked),
        cursor=asked.get("_page"),
        access=allowed,
    )
    if name is not None and not page.matches and not asked.keys() & {"_since", "_at", "_page"}:
        raise responses.unknown(kind)
    seen(page.matches)
    path = f"{here.config.base}/{kind}/{name + '/' if name else ''}_history"
    known = {each: asked[each] for each in _KNOWN if each in asked}
    links = {"self": _link(path, known)}
    if page.next is not None:
        links["next"] = _link(path, known | {"_page": page.next})
    entries = (responses.past(version, wanted) for version in page.matches)
    return responses.bundle("history", entries, total=page.total, links=links, wanted=wanted)


_KNOWN = ("_since", "_at", "_count", "_page", "_format", "_pretty", "_summary", "_elements")


def _link(path: str, asked: dict[str, str]) -> str:
    return f"{path}?{urlencode(asked)}" if asked else path


def _moment(asked: dict[str, str], name: str) -> int | None:
    return parse_timestamp(asked[name], name) if name in asked else None


def _count(asked: dict[str, str]) -> int:
    config = facade().config
    text = asked.get("_count", str(config.count))
    if not (text.isascii() and text.isdecimal()):
        raise refuse(400, "value", "_count is no whole number")
    return min(int(text[:9]), config.max_count)


ROUTES = (
    Route("history-instance", ("GET",), "<stored:kind>/<name>/_history", of_one),
    Route("history-type", ("GET",), "<stored:kind>/_history", of_type),
)
