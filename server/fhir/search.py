"""Search: by GET, by POST, in a compartment.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Iterator
from urllib.parse import quote_plus, urlencode

from flask import request
from msgspec.structs import replace

from fhir_b12.definitions import R4
from fhir_b12.server.fhir import conformance, responses
from fhir_b12.server.fhir.context import Route, access, facade, parse, seen
from fhir_b12.server.search.criteria import in_compartment
from fhir_b12.server.store import Page
from fhir_b12.server.wire.body import read_body
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import FORM, require_media_type
from fhir_b12.server.wire.query import Pairs, parse_form, parse_query_string
from fhir_b12.server.wire.response import JsonResponse
from fhir_b12.server.wire.result_format import ResultFormat, parse_result_format

_SHAPE = ("_format", "_pretty")  #: how the answer looks, not what is in it


def search(kind: str) -> JsonResponse:
    """`GET Type?query`"""
    return answered(kind, parse_query_string(request.query_string, facade().config))


def search_posted(kind: str) -> JsonResponse:
    """`POST Type/_search`: parameters in the body, and those of the url too."""
    return answered(kind, _posted())


def search_within(owner: str, name: str, kind: str) -> JsonResponse:
    """`GET Patient/id/Type?query`  https://hl7.org/fhir/R4/http.html#vsearch"""
    return _in_compartment(
        owner, name, kind, parse_query_string(request.query_string, facade().config)
    )


def search_within_posted(owner: str, name: str, kind: str) -> JsonResponse:
    """`POST Patient/id/Type/_search`"""
    return _in_compartment(owner, name, kind, _posted())


def search_definitions(kind: str) -> JsonResponse:
    """Search among what ships with the library."""
    return _of_definitions(kind, parse_query_string(request.query_string, facade().config))


def search_definitions_posted(kind: str) -> JsonResponse:
    """The same by POST."""
    return _of_definitions(kind, _posted())


def _posted() -> Pairs:
    config = facade().config
    found = parse_query_string(request.query_string, config)
    text = read_body(request, config)
    if text:
        require_media_type(request, {FORM})
    return found + parse_form(text, config)


def _in_compartment(owner: str, name: str, kind: str, asked: Pairs) -> JsonResponse:
    if not is_id(name) or kind not in R4.compartment(owner):
        raise responses.unknown(f"compartment of {kind}")
    return answered(kind, asked, f"{owner}/{name}/")


def answered(kind: str, asked: Pairs, owner: str = "") -> JsonResponse:
    """A page of what matches; `owner` is the compartment, `Patient/1/`."""
    here, allowed = facade(), access()
    shape = [pair for pair in asked if pair[0] in _SHAPE]
    wanted = _form(asked)
    query = parse(kind, [pair for pair in asked if pair[0] not in _SHAPE])
    if owner:
        query = replace(query, criteria=(*query.criteria, in_compartment(*owner.split("/")[:2])))
    page = here.store.search(query, allowed)
    seen((*page.matches, *page.included), query)
    path = f"{here.config.base}/{owner}{kind}"
    links = linked(path, [*query.pairs, *shape], page)
    return responses.bundle(
        "searchset", _entries(page, wanted), total=page.total, links=links, wanted=wanted
    )


def _form(asked: Pairs) -> ResultFormat:
    return parse_result_format(dict(reversed(asked)), request.environ.get("HTTP_ACCEPT", ""))


def linked(path: str, asked: Pairs, page: Page) -> dict[str, str]:
    """Where this page is, and the next; only what was understood stands there."""
    links = {"self": _link(path, asked)}
    if page.next is not None:
        first = _link(path, [pair for pair in asked if pair[0] != "_page"])
        mark = "&" if "?" in first else "?"
        links |= {"first": first, "next": f"{first}{mark}_page={quote_plus(page.next)}"}
    return links


def _link(path: str, asked: Pairs) -> str:
    return f"{path}?{urlencode(asked)}" if asked else path


def _entries(page: Page, wanted: ResultFormat) -> Iterator[bytes]:
    yield from responses.matches(page.matches, "match", wanted)
    yield from responses.matches(page.included, "include", wanted)


def _of_definitions(kind: str, asked: Pairs) -> JsonResponse:
    matches, known = conformance.found(kind, asked)
    known += [pair for pair in asked if pair[0] in (*_SHAPE, "_summary", "_elements")]
    wanted = _form(asked)
    shown = () if wanted.summary == "count" else matches
    entries = responses.matches(shown, "match", wanted)
    links = {"self": _link(f"{facade().config.base}/{kind}", known)}
    return responses.bundle("searchset", entries, total=len(matches), links=links, wanted=wanted)


_WITHIN = "<owner:owner>/<name>/<stored:kind>"
ROUTES = (
    Route("search-type", ("GET",), "<stored:kind>", search),
    Route("search-type", ("POST",), "<stored:kind>/_search", search_posted),
    Route("search-compartment", ("GET",), _WITHIN, search_within),
    Route("search-compartment", ("POST",), f"{_WITHIN}/_search", search_within_posted),
    Route("search-type", ("GET",), "<shipped:kind>", search_definitions, public=True),
    Route(
        "search-type", ("POST",), "<shipped:kind>/_search", search_definitions_posted, public=True
    ),
)
