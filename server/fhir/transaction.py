"""Many interactions in one request: all or none, or each by itself.

https://hl7.org/fhir/R4/http.html#transaction
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from flask import current_app, g, request
from werkzeug.test import EnvironBuilder

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.fhir import conditional_references, responses
from fhir_b12.server.fhir.bundle_entries import Entry, entries_of
from fhir_b12.server.fhir.context import Route, access, apply, current, facade, form
from fhir_b12.server.store import ChangeResult
from fhir_b12.server.wire.body import read_resource
from fhir_b12.server.wire.conditional_headers import format_etag
from fhir_b12.server.wire.media_types import FHIR_JSON
from fhir_b12.server.wire.prefer import preference
from fhir_b12.server.wire.request_origin import BATCH_ENTRY
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.timestamps import format_instant

_READS = ("GET", "HEAD")


def bundle() -> JsonResponse:
    """`POST [base]` of a batch or transaction Bundle."""
    here = facade()
    value = read_resource(request, here.config, "Bundle")
    kind = value.get("type")
    if kind not in {"batch", "transaction"}:
        message = "only a batch or a transaction can be posted to the base"
        raise refuse(400, "invalid", message, "Bundle.type")
    entries = entries_of(value, here.config)
    told = _together(entries) if kind == "transaction" else {}
    results = b",".join(_answers(entries, told))
    head = b'{"resourceType":"Bundle","type":"%b-response"' % kind.encode()
    return json_response(
        b'%b,"entry":[%b]}' % (head, results) if results else head + b"}", result_format=form()
    )


def carried_out(bundle: dict[str, Any]) -> list[bytes]:
    """The answer of each entry of a transaction of writes."""
    told = _together(entries_of(bundle, facade().config))
    return [told[index] for index in sorted(told)]


def _answers(entries: Sequence[Entry], told: dict[int, bytes]) -> Iterator[bytes]:
    """The answer of each entry in their order, of what is done already or asked now.

    A small question may have a large answer: from a limit on no more is asked.
    """
    left = facade().config.max_answer
    for index, entry in enumerate(entries):
        text = told.get(index) or (_alone(entry) if left > 0 else _TOO_MUCH)
        left -= len(text)
        yield text


_TOO_MUCH = dumps(
    {
        "response": {
            "status": "413",
            "outcome": outcome(
                [Issue("error", "too-costly", "", "the answer is long enough; ask this again")]
            ),
        }
    }
)


# --- all or none


def _together(entries: Sequence[Entry]) -> dict[int, bytes]:
    """Every write in one transaction; what became of each, by its place. Reads come after.

    What is written is written: a read that cannot be done says so in its own answer.
    """
    places = [index for index, entry in enumerate(entries) if entry.method not in _READS]
    writes = [entries[index] for index in places]
    _refuse_doubles(writes)
    changes = [entry.change() for entry in writes]
    conditional_references.resolve(writes)
    advice = _checked(writes)
    dones = apply(changes, check=facade().policy.hold)
    # of two that lead to one resource the first has its url, as bdl-7 asks
    firsts = {done.version: index for index, done in reversed([*enumerate(dones)])}
    told = [
        _written(done, each, is_first=firsts[done.version] == index)
        for index, (done, each) in enumerate(zip(dones, advice, strict=True))
    ]
    return dict(zip(places, told, strict=True))


def _refuse_doubles(entries: Sequence[Entry]) -> None:
    """No two entries may write the same.  https://hl7.org/fhir/R4/http.html#trules"""
    targets = Counter(entry.target or "" for entry in entries)
    names = Counter(entry.full_url or "" for entry in entries)
    targets[""] = names[""] = 0
    twice = [
        Issue("error", "duplicate", entry.place, "another entry writes the same resource")
        for entry in entries
        if targets[entry.target or ""] > 1 or names[entry.full_url or ""] > 1
    ]
    if twice:
        raise Refusal(400, twice)


def _checked(entries: Sequence[Entry]) -> list[tuple[Issue, ...]]:
    """The advice on each entry; a refusal with all that is wrong in any."""
    return facade().policy.check_each(
        (entry.resource if entry.method in {"POST", "PUT"} else None, f"{entry.place}.resource")
        for entry in entries
    )


def _written(done: ChangeResult, advice: Sequence[Issue], *, is_first: bool) -> bytes:
    """What became of an entry."""
    version = done.version
    if version is None or version.body is None:
        facts = {"etag": format_etag(version.version_id)} if version and version.version_id else {}
        return dumps({"response": {"status": "204 No Content"} | facts})
    created = done.outcome == "created"
    response: dict[str, Any] = {
        "status": "201 Created" if created else "200 OK",
        "location": f"{responses.url(version)}/_history/{version.version_id}",
        "etag": format_etag(version.version_id),
        "lastModified": format_instant(version.last_updated),
    }
    if advice and preference(request, "return").lower() == "operationoutcome":
        response["outcome"] = outcome(advice)
    text = b'"fullUrl":%b,' % dumps(responses.url(version)) if is_first else b""
    if preference(request, "return").lower() == "representation":
        text += b'"resource":%b,' % version.body
    return b'{%b"response":%b}' % (text, dumps(response))


# --- each by itself


def _alone(entry: Entry) -> bytes:
    """One entry, as a request of its own."""
    status, headers, text = _asked(entry)
    response = {"status": str(status)}
    response |= {
        name: headers[header]
        for name, header in (("location", "Location"), ("etag", "ETag"))
        if header in headers
    }
    if not text:
        return dumps({"response": response})
    if status >= 400:
        return b'{"response":%b,"outcome":%b}}' % (dumps(response)[:-1], text)
    return b'{"resource":%b,"response":%b}' % (text, dumps(response))


_PASSED_ON = ("Prefer", "Host")


def _asked(entry: Entry) -> tuple[int, Any, bytes]:
    """Status, headers and body of the entry asked as a request of its own."""
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    headers |= entry.headers | {"Accept": FHIR_JSON, "X-Request-Id": g.request_id}
    path, _, query = entry.url.partition("?")
    builder = EnvironBuilder(
        path=f"/fhir/{path}",
        query_string=query,
        method=entry.method,
        headers=list(headers.items()),
        data=entry.body,
        content_type=entry.media if entry.body is not None else None,
        environ_base={"REMOTE_ADDR": request.remote_addr or ""},
        environ_overrides={BATCH_ENTRY: True, "fhir_b12.access": access()},
    )
    app = current(current_app)
    with app.app_context(), app.request_context(builder.get_environ()):
        response = app.full_dispatch_request()
        return response.status_code, response.headers, response.get_data()


ROUTES = (Route("transaction", ("POST",), "", bundle), Route("batch", ("POST",), "", bundle))
