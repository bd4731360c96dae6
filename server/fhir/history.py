"""Versions of a resource, or of all resources of a type.  https://hl7.org/fhir/R4/http.html#history"""

from fhir_b12.server.context import RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.lookup import NotFoundError
from fhir_b12.server.fhir.responses import bundle_response, history_entry, with_query
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.response import JsonResponse
from fhir_b12.server.wire.timestamps import parse_timestamp

#: parameters that the links of a page repeat
_PARAMETERS = ("_since", "_at", "_count", "_page", "_format", "_pretty", "_summary", "_elements")


def history_of_resource(
    context: RequestContext, resource_type: str, resource_id: str
) -> JsonResponse:
    """Answer `GET Type/id/_history`."""
    return _history(context, resource_type, resource_id)


def history_of_type(context: RequestContext, resource_type: str) -> JsonResponse:
    """Answer `GET Type/_history`."""
    return _history(context, resource_type, None)


def _history(context: RequestContext, resource_type: str, resource_id: str | None) -> JsonResponse:
    """Respond with a page of versions.

    Raises:
        NotFoundError: the resource does not exist or is not visible to the client.

    """
    if resource_id is not None and not is_id(resource_id):
        raise NotFoundError(resource_type)
    parameters = dict(context.query_pairs())
    page = context.server.store.history(
        resource_type,
        resource_id,
        since=_timestamp(parameters, "_since"),
        at=_timestamp(parameters, "_at"),
        count=_count(context, parameters),
        cursor=parameters.get("_page"),
        access=context.access,
    )
    is_filtered = parameters.keys() & {"_since", "_at", "_page"}
    if resource_id is not None and not page.matches and not is_filtered:
        raise NotFoundError(resource_type)
    context.record_access(page.matches)
    instance = f"{resource_id}/" if resource_id else ""
    path = f"{context.config.base}/{resource_type}/{instance}_history"
    known = {name: parameters[name] for name in _PARAMETERS if name in parameters}
    links = {"self": with_query(path, known.items())}
    if page.next is not None:
        links["next"] = with_query(path, (known | {"_page": page.next}).items())
    result_format = context.result_format
    entries = (history_entry(context, version, result_format) for version in page.matches)
    return bundle_response(
        "history", entries, total=page.total, links=links, result_format=result_format
    )


def _timestamp(parameters: dict[str, str], name: str) -> int | None:
    return parse_timestamp(parameters[name], name) if name in parameters else None


def _count(context: RequestContext, parameters: dict[str, str]) -> int:
    """Return the number of versions per page.

    Raises:
        RequestError: 400 if it is not a whole number.

    """
    text = parameters.get("_count", str(context.config.count))
    if not (text.isascii() and text.isdecimal()):
        raise RequestError(400, "value", "_count must be a whole number")
    return min(int(text[:9]), context.config.max_count)


ROUTES = (
    Route(
        "history-instance",
        ("GET",),
        "<stored:resource_type>/<resource_id>/_history",
        history_of_resource,
    ),
    Route("history-type", ("GET",), "<stored:resource_type>/_history", history_of_type),
)
