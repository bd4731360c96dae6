"""Search: by GET, by POST, in a compartment.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Iterator
from urllib.parse import quote_plus, urlencode

from flask import request
from msgspec.structs import replace

from fhir_b12.definitions import compartment
from fhir_b12.server import wire
from fhir_b12.server.fhir import conformance, responses
from fhir_b12.server.fhir.context import Route, access, facade, parse, seen
from fhir_b12.server.search.query import within
from fhir_b12.server.store import Page

_SHAPE = ("_format", "_pretty")  #: how the answer looks, not what is in it


def search(kind: str) -> wire.Answer:
    """`GET Type?query`"""
    return answered(kind, wire.pairs(request.query_string, facade().config))


def search_posted(kind: str) -> wire.Answer:
    """`POST Type/_search`: parameters in the body, and those of the url too."""
    return answered(kind, _posted())


def search_within(owner: str, name: str, kind: str) -> wire.Answer:
    """`GET Patient/id/Type?query`  https://hl7.org/fhir/R4/http.html#vsearch"""
    return _in_compartment(owner, name, kind, wire.pairs(request.query_string, facade().config))


def search_within_posted(owner: str, name: str, kind: str) -> wire.Answer:
    """`POST Patient/id/Type/_search`"""
    return _in_compartment(owner, name, kind, _posted())


def search_definitions(kind: str) -> wire.Answer:
    """Search among what ships with the library."""
    return _of_definitions(kind, wire.pairs(request.query_string, facade().config))


def search_definitions_posted(kind: str) -> wire.Answer:
    """The same by POST."""
    return _of_definitions(kind, _posted())


def _posted() -> wire.Pairs:
    config = facade().config
    found = wire.pairs(request.query_string, config)
    text = wire.body(request, config)
    if text:
        wire.check_media(request, {wire.FORM})
    return found + wire.form_pairs(text, config)


def _in_compartment(owner: str, name: str, kind: str, asked: wire.Pairs) -> wire.Answer:
    if not wire.is_id(name) or kind not in compartment(owner):
        raise responses.unknown(f"compartment of {kind}")
    return answered(kind, asked, f"{owner}/{name}/")


def answered(kind: str, asked: wire.Pairs, owner: str = "") -> wire.Answer:
    """A page of what matches; `owner` is the compartment, `Patient/1/`."""
    here, allowed = facade(), access()
    shape = [pair for pair in asked if pair[0] in _SHAPE]
    wanted = _form(asked)
    query = parse(kind, [pair for pair in asked if pair[0] not in _SHAPE])
    if owner:
        query = replace(query, tests=(*query.tests, within(*owner.split("/")[:2])))
    page = here.store.search(query, allowed)
    seen((*page.matches, *page.included), query)
    path = f"{here.config.base}/{owner}{kind}"
    links = linked(path, [*query.pairs, *shape], page)
    return responses.bundle(
        "searchset", _entries(page, wanted), total=page.total, links=links, wanted=wanted
    )


def _form(asked: wire.Pairs) -> wire.Form:
    return wire.form_of(dict(reversed(asked)), request.environ.get("HTTP_ACCEPT", ""))


def linked(path: str, asked: wire.Pairs, page: Page) -> dict[str, str]:
    """Where this page is, and the next; only what was understood stands there."""
    links = {"self": _link(path, asked)}
    if page.next is not None:
        first = _link(path, [pair for pair in asked if pair[0] != "_page"])
        mark = "&" if "?" in first else "?"
        links |= {"first": first, "next": f"{first}{mark}_page={quote_plus(page.next)}"}
    return links


def _link(path: str, asked: wire.Pairs) -> str:
    return f"{path}?{urlencode(asked)}" if asked else path


def _entries(page: Page, wanted: wire.Form) -> Iterator[bytes]:
    yield from responses.matches(page.matches, "match", wanted)
    yield from responses.matches(page.included, "include", wanted)


def _of_definitions(kind: str, asked: wire.Pairs) -> wire.Answer:
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
