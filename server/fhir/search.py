"""Search by GET, by POST and in a compartment.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Iterator
from urllib.parse import quote_plus

from msgspec.structs import replace

from fhir_b12.definitions import R4
from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.fhir import conformance
from fhir_b12.server.fhir.lookup import NotFoundError
from fhir_b12.server.fhir.responses import bundle_response, search_entries, with_query
from fhir_b12.server.search.criteria import InCompartment
from fhir_b12.server.store import Page
from fhir_b12.server.wire.body import read_body
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import FORM, require_media_type
from fhir_b12.server.wire.query import Pairs, parse_form
from fhir_b12.server.wire.response import JsonResponse
from fhir_b12.server.wire.result_format import ResultFormat, parse_result_format

_FORMAT_PARAMETERS = ("_format", "_pretty")  #: do not change which elements are returned


def search(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `GET Type?query`."""
    return _search(context, resource_type, context.query_pairs())


def search_by_post(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `POST Type/_search`: parameters in the body and in the URL."""
    return _search(context, resource_type, _posted_pairs(context))


def search_compartment(
    context: RequestContext, owner_type: str, owner_id: str, resource_type: str
) -> JsonResponse:
    """Answer `GET Patient/id/Type?query`.  https://hl7.org/fhir/R4/http.html#vsearch"""
    owner = _require_owner(owner_type, owner_id, resource_type)
    return _search(context, resource_type, context.query_pairs(), owner)


def search_compartment_by_post(
    context: RequestContext, owner_type: str, owner_id: str, resource_type: str
) -> JsonResponse:
    """Answer `POST Patient/id/Type/_search`."""
    owner = _require_owner(owner_type, owner_id, resource_type)
    return _search(context, resource_type, _posted_pairs(context), owner)


def search_definitions(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `GET Type?query` for definitions that ship with the library."""
    return _search_definitions(context, resource_type, context.query_pairs())


def search_definitions_by_post(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `POST Type/_search` for definitions that ship with the library."""
    return _search_definitions(context, resource_type, _posted_pairs(context))


def _posted_pairs(context: RequestContext) -> Pairs:
    pairs = context.query_pairs()
    text = read_body(context.request, context.config)
    if text:
        require_media_type(context.request, {FORM})
    return pairs + parse_form(text, context.config)


def _require_owner(owner_type: str, owner_id: str, resource_type: str) -> InCompartment:
    """Return the criterion of a compartment that contains a resource type, or raise 404.

    Raises:
        NotFoundError: the id is invalid, or the type is in no such compartment.

    """
    if not is_id(owner_id) or resource_type not in R4.compartment(owner_type):
        raise NotFoundError(f"compartment {owner_type} with {resource_type}")
    return InCompartment(owner_type, owner_id)


def _search(
    context: RequestContext,
    resource_type: str,
    pairs: Pairs,
    owner: InCompartment | None = None,
) -> JsonResponse:
    """Respond with a page of matches, of a compartment if there is an `owner`."""
    format_pairs = [pair for pair in pairs if pair[0] in _FORMAT_PARAMETERS]
    result_format = _result_format(context, pairs)
    query = context.parse_search(
        resource_type, [pair for pair in pairs if pair[0] not in _FORMAT_PARAMETERS]
    )
    path = resource_type
    if owner is not None:
        query = replace(query, criteria=(*query.criteria, owner))
        path = f"{owner.owner_type}/{owner.owner_id}/{resource_type}"
    page = context.server.store.search(query, context.access)
    context.record_access((*page.matches, *page.included), query)
    links = page_links(f"{context.config.base}/{path}", [*query.pairs, *format_pairs], page)
    return bundle_response(
        "searchset",
        _entries(context, page, result_format),
        total=page.total,
        links=links,
        result_format=result_format,
    )


def _result_format(context: RequestContext, pairs: Pairs) -> ResultFormat:
    """Return the format that URL and body ask for; the first of a name counts."""
    accept = context.request.environ.get("HTTP_ACCEPT", "")
    return parse_result_format(dict(reversed(pairs)), accept)


def page_links(path: str, pairs: Pairs, page: Page) -> dict[str, str]:
    """Return the links of a page: `self`, and `first` and `next` if there is another.

    `pairs` are the parameters that were understood: `self` must not claim more.
    """
    links = {"self": with_query(path, pairs)}
    if page.next is not None:
        first = with_query(path, [pair for pair in pairs if pair[0] != "_page"])
        separator = "&" if "?" in first else "?"
        links |= {"first": first, "next": f"{first}{separator}_page={quote_plus(page.next)}"}
    return links


def _entries(context: RequestContext, page: Page, result_format: ResultFormat) -> Iterator[bytes]:
    yield from search_entries(context, page.matches, "match", result_format)
    yield from search_entries(context, page.included, "include", result_format)


def _search_definitions(context: RequestContext, resource_type: str, pairs: Pairs) -> JsonResponse:
    matches, known = conformance.search_definitions(resource_type, pairs)
    format_parameters = (*_FORMAT_PARAMETERS, "_summary", "_elements")
    known += [pair for pair in pairs if pair[0] in format_parameters]
    result_format = _result_format(context, pairs)
    returned = () if result_format.summary == "count" else matches
    return bundle_response(
        "searchset",
        search_entries(context, returned, "match", result_format),
        total=len(matches),
        links={"self": with_query(f"{context.config.base}/{resource_type}", known)},
        result_format=result_format,
    )


_COMPARTMENT = "<owner:owner_type>/<owner_id>/<stored:resource_type>"
_SHIPPED = "<shipped:resource_type>"
ROUTES = (
    Route("search-type", ("GET",), "<stored:resource_type>", search),
    Route("search-type", ("POST",), "<stored:resource_type>/_search", search_by_post),
    Route("search-compartment", ("GET",), _COMPARTMENT, search_compartment),
    Route("search-compartment", ("POST",), f"{_COMPARTMENT}/_search", search_compartment_by_post),
    Route("search-type", ("GET",), _SHIPPED, search_definitions, is_public=True),
    Route(
        "search-type", ("POST",), f"{_SHIPPED}/_search", search_definitions_by_post, is_public=True
    ),
)
