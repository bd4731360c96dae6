"""Batch and transaction.  https://hl7.org/fhir/R4/http.html#transaction"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from werkzeug.test import EnvironBuilder

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import dumps
from fhir_b12.server.context import ACCESS, RequestContext, Route
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir.bundle_entries import EntryRequest, parse_entries
from fhir_b12.server.fhir.conditional_references import resolve_references
from fhir_b12.server.fhir.responses import resource_url, version_url
from fhir_b12.server.store import ChangeResult
from fhir_b12.server.wire.body import read_resource
from fhir_b12.server.wire.conditional_headers import format_etag
from fhir_b12.server.wire.media_types import FHIR_JSON
from fhir_b12.server.wire.prefer import preference
from fhir_b12.server.wire.request_origin import BATCH_ENTRY
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.timestamps import format_instant

_READS = ("GET", "HEAD")
_INHERITED_HEADERS = ("Prefer", "Host")  #: that an entry of a batch has from the batch


def process_bundle(context: RequestContext) -> JsonResponse:
    """Answer `POST [base]` with a batch or transaction Bundle.

    Raises:
        RequestError: 400 if it is a Bundle of another type, or malformed; the error of an entry if
            it is a transaction.

    """
    bundle = read_resource(context.request, context.config, "Bundle")
    bundle_type = bundle.get("type")
    if bundle_type not in {"batch", "transaction"}:
        message = "type must be batch or transaction"
        raise RequestError(400, "invalid", message, "Bundle.type")
    entries = parse_entries(bundle, context.config)
    written = _apply_writes(context, entries) if bundle_type == "transaction" else {}
    responses = b",".join(_entry_responses(context, entries, written))
    head = b'{"resourceType":"Bundle","type":"%b-response"' % bundle_type.encode()
    text = b'%b,"entry":[%b]}' % (head, responses) if responses else head + b"}"
    return json_response(text, result_format=context.result_format)


def apply_transaction(context: RequestContext, bundle: dict[str, Any]) -> list[bytes]:
    """Apply a transaction of writes; return the response entries as JSON.

    Raises:
        RequestError: an entry is invalid or cannot be applied; nothing is changed.

    """
    written = _apply_writes(context, parse_entries(bundle, context.config))
    return [written[index] for index in sorted(written)]


def _entry_responses(
    context: RequestContext, entries: Sequence[EntryRequest], written: dict[int, bytes]
) -> Iterator[bytes]:
    """Yield the response of each entry in their order: `written`, or dispatched now.

    Small requests may have large responses: beyond a limit entries are answered 413.
    """
    bytes_left = context.config.max_answer
    for index, entry in enumerate(entries):
        text = written.get(index)
        if text is None:
            text = _dispatch(context, entry) if bytes_left > 0 else _TOO_LARGE
        bytes_left -= len(text)
        yield text


_TOO_LARGE = dumps({
    "response": {
        "status": "413",
        "outcome": outcome([
            Issue("error", "too-costly", "",
                  "the response has reached its maximum size: send this entry again"),
        ]),
    },
})  # fmt: skip


# --- transaction


def _apply_writes(context: RequestContext, entries: Sequence[EntryRequest]) -> dict[int, bytes]:
    """Apply all writes in one transaction; return their response entries by index.

    Reads are dispatched after the commit: one that fails reports so in its own response.
    """
    indices = [index for index, entry in enumerate(entries) if entry.method not in _READS]
    writes = [entries[index] for index in indices]
    _require_distinct_targets(writes)
    changes = [entry.to_change(context) for entry in writes]
    resolve_references(context, writes)
    advice = context.server.policy.check_all(
        (entry.resource if entry.method in {"POST", "PUT"} else None, f"{entry.path}.resource")
        for entry in writes
    )
    results = context.apply(changes, check=context.server.policy.check_patched)
    # fullUrls must be unique (bdl-7): of two entries with one resource the first has it
    first_index = {result.version: index for index, result in reversed([*enumerate(results)])}
    responses = [
        _write_response(context, result, issues, has_full_url=first_index[result.version] == index)
        for index, (result, issues) in enumerate(zip(results, advice, strict=True))
    ]
    return dict(zip(indices, responses, strict=True))


def _require_distinct_targets(entries: Sequence[EntryRequest]) -> None:
    """Raise 400 if two entries write one resource.  https://hl7.org/fhir/R4/http.html#trules

    Raises:
        RequestError: 400 with all entries that write a resource of another entry.

    """
    targets = Counter(filter(None, (entry.target for entry in entries)))
    full_urls = Counter(filter(None, (entry.full_url for entry in entries)))
    message = "another entry writes the same resource: merge the two"
    duplicates = [
        Issue("error", "duplicate", entry.path, message)
        for entry in entries
        if targets[entry.target or ""] > 1 or full_urls[entry.full_url or ""] > 1
    ]
    if duplicates:
        raise RequestError(400, issues=duplicates)


def _write_response(
    context: RequestContext, result: ChangeResult, advice: Sequence[Issue], *, has_full_url: bool
) -> bytes:
    """Return the response entry of a write."""
    version = result.version
    if version is None or version.body is None:
        etag = {"etag": format_etag(version.version_id)} if version and version.version_id else {}
        return dumps({"response": {"status": "204 No Content"} | etag})
    returns = preference(context.request, "return")
    response: dict[str, Any] = {
        "status": "201 Created" if result.outcome == "created" else "200 OK",
        "location": version_url(context, version),
        "etag": format_etag(version.version_id),
        "lastModified": format_instant(version.last_updated),
    }
    if advice and returns == "operationoutcome":
        response["outcome"] = outcome(advice)
    text = b'"fullUrl":%b,' % dumps(resource_url(context, version)) if has_full_url else b""
    if returns == "representation":
        text += b'"resource":%b,' % version.body
    return b'{%b"response":%b}' % (text, dumps(response))


# --- batch


def _dispatch(context: RequestContext, entry: EntryRequest) -> bytes:
    """Answer one entry as a request of its own; return the response entry."""
    answer = context.server.dispatch(_environ(context, entry))
    text, headers = answer.get_data(), answer.headers
    response = {"status": str(answer.status_code)}
    response |= {
        name: headers[header]
        for name, header in (("location", "Location"), ("etag", "ETag"))
        if header in headers
    }
    if not text:
        return dumps({"response": response})
    if answer.status_code >= 400:
        return b'{"response":%b,"outcome":%b}}' % (dumps(response)[:-1], text)
    return b'{"resource":%b,"response":%b}' % (text, dumps(response))


def _environ(context: RequestContext, entry: EntryRequest) -> dict[str, Any]:
    """Return the WSGI environment of an entry, with what is authorized already."""
    request = context.request
    headers = {
        name: request.headers[name] for name in _INHERITED_HEADERS if name in request.headers
    }
    headers |= entry.headers | {"Accept": FHIR_JSON, "X-Request-Id": context.request_id}
    path, _, query = entry.url.partition("?")
    return EnvironBuilder(
        path=f"/fhir/{path}",
        query_string=query,
        method=entry.method,
        headers=list(headers.items()),
        data=entry.body,
        content_type=entry.media_type if entry.body is not None else None,
        environ_base={"REMOTE_ADDR": request.remote_addr or ""},
        environ_overrides={BATCH_ENTRY: True, ACCESS: context.access},
    ).get_environ()


ROUTES = (
    Route("transaction", ("POST",), "", process_bundle),
    Route("batch", ("POST",), "", process_bundle),
)
