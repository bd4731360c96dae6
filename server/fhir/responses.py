"""Responses about stored versions, and Bundles.  https://hl7.org/fhir/R4/http.html#ops"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.context import RequestContext
from fhir_b12.server.fhir.lookup import DeletedError, deletion_etag
from fhir_b12.server.store import ChangeResult, Version
from fhir_b12.server.wire.conditional_headers import format_etag, is_modified
from fhir_b12.server.wire.prefer import preference
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.result_format import ResultFormat, format_resource
from fhir_b12.server.wire.timestamps import format_http_date, format_instant


def resource_url(context: RequestContext, version: Version) -> str:
    """Return the URL of a resource, whatever its version."""
    return f"{context.config.base}/{version.type}/{version.id}"


def version_url(context: RequestContext, version: Version) -> str:
    """Return the URL of one version of a resource."""
    return f"{resource_url(context, version)}/_history/{version.version_id}"


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return a URL with a query, without `?` if the query is empty."""
    query = urlencode([*pairs])
    return f"{url}?{query}" if query else url


def version_headers(version: Version) -> dict[str, str]:
    """Return the headers that identify a version: ETag and Last-Modified."""
    return {
        "ETag": format_etag(version.version_id),
        "Last-Modified": format_http_date(version.last_updated // 1_000_000),
    }


def version_response(context: RequestContext, version: Version) -> JsonResponse:
    """Respond with a version; 304 if the client has it.

    Raises:
        DeletedError: the version is a deletion.

    """
    if version.body is None:
        raise DeletedError(version)
    headers = version_headers(version)
    if not is_modified(context.request, version.version_id, version.last_updated):
        return json_response(b"", 304, headers)
    result_format = context.result_format
    return json_response(format_resource(version.body, result_format), 200, headers, result_format)


def change_response(
    context: RequestContext, result: ChangeResult, advice: Sequence[Issue] = ()
) -> JsonResponse:
    """Respond to a write as Prefer asks for.  https://hl7.org/fhir/R4/http.html#create

    `advice` has the warnings of the validation, for `return=OperationOutcome`.
    """
    returns = preference(context.request, "return")
    version, result_format = result.version, context.result_format
    if version is None or version.body is None:
        headers = deletion_etag(version)
        if returns == "operationoutcome":
            return json_response(outcome(()), 200, headers, result_format)
        return json_response(b"", 204, headers)
    location = version_url(context, version)
    headers = {**version_headers(version), "Location": location, "Content-Location": location}
    status = 201 if result.outcome == "created" else 200
    if returns == "minimal":
        return json_response(b"", status, headers)
    if returns == "operationoutcome":
        return json_response(outcome(advice), status, headers, result_format)
    text = format_resource(version.body, result_format)
    return json_response(text, status, headers, result_format)


def bundle_response(
    bundle_type: str,
    entries: Iterable[bytes],
    *,
    total: int | None = None,
    links: dict[str, str],
    result_format: ResultFormat,
) -> JsonResponse:
    """Respond with a Bundle, joined from JSON texts.  https://hl7.org/fhir/R4/bundle.html

    Args:
        bundle_type: `searchset`, `history`, …
        entries: each entry as JSON.
        total: number of all matches; None if it was not counted.
        links: relation and URL.
        result_format: the format of the response.

    """
    parts = [b'{"resourceType":"Bundle","type":"', bundle_type.encode(), b'"']
    if total is not None:
        parts += [b',"total":', str(total).encode()]
    link = [{"relation": relation, "url": url} for relation, url in links.items()]
    parts += [b',"link":', dumps(link)]
    if joined := b",".join(entries):
        parts += [b',"entry":[', joined, b"]"]
    return json_response(b"".join((*parts, b"}")), result_format=result_format)


def search_entries(
    context: RequestContext, versions: Iterable[Version], mode: str, result_format: ResultFormat
) -> Iterator[bytes]:
    """Yield the entries of a searchset; `mode` is `match` or `include`."""
    base = dumps(context.config.base)[:-1]
    for version in versions:
        assert version.body is not None
        text = format_resource(version.body, result_format)
        path = f"{version.type}/{version.id}"  # has no character that JSON escapes
        yield b'{"fullUrl":%b/%b","resource":%b,"search":{"mode":"%b"}}' % (
            base,
            path.encode(),
            text,
            mode.encode(),
        )


def history_entry(context: RequestContext, version: Version, result_format: ResultFormat) -> bytes:
    """Return an entry of a history.  https://hl7.org/fhir/R4/http.html#history"""
    url = version.type if version.method == "POST" else f"{version.type}/{version.id}"
    status = {"POST": "201", "DELETE": "204"}.get(version.method, "200")
    if version.version_id == 1 and version.method != "DELETE":
        status = "201"
    parts: dict[str, Any] = {
        "request": {"method": version.method, "url": url},
        "response": {
            "status": status,
            "etag": format_etag(version.version_id),
            "lastModified": format_instant(version.last_updated),
        },
    }
    resource = b""
    if version.body is not None:
        resource = b'"resource":%b,' % format_resource(version.body, result_format)
    full_url = dumps(resource_url(context, version))
    return b'{"fullUrl":%b,%b%b' % (full_url, resource, dumps(parts)[1:])


def parse_version(version: Version) -> dict[str, Any]:
    """Return the resource of a version as parsed JSON; empty if it is a deletion."""
    value: dict[str, Any] = loads(version.body or b"{}")
    return value
