"""Answers about stored versions.  https://hl7.org/fhir/R4/http.html#ops"""

from collections.abc import Iterable, Iterator, Sequence

from flask import request

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir.context import facade, form
from fhir_b12.server.store import ChangeResult, Version
from fhir_b12.server.wire.conditional_headers import format_etag, is_modified
from fhir_b12.server.wire.prefer import preference
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.server.wire.result_format import ResultFormat, format_resource
from fhir_b12.server.wire.timestamps import format_http_date, format_instant


def url(version: Version) -> str:
    """Where a resource lies, whatever its version."""
    return f"{facade().config.base}/{version.type}/{version.id}"


def stamps(version: Version) -> dict[str, str]:
    """The headers that name a version."""
    return {
        "ETag": format_etag(version.version_id),
        "Last-Modified": format_http_date(version.last_updated // 1_000_000),
    }


def shown(version: Version) -> JsonResponse:
    """A version that was asked for: its text, or that the client has it, or that it is gone."""
    if version.body is None:
        raise gone(version)
    if not is_modified(request, version.version_id, version.last_updated):
        return json_response(b"", 304, stamps(version))
    wanted = form()
    return json_response(format_resource(version.body, wanted), 200, stamps(version), wanted)


def gone(version: Version) -> Exception:
    """The refusal of what was deleted."""
    message = f"this {version.type} was deleted; its history has what it was"
    return refuse(410, "deleted", message, **_tag(version))


def _tag(version: Version | None) -> dict[str, str]:
    """Of what was deleted, where it is known which version that is."""
    return {"ETag": format_etag(version.version_id)} if version and version.version_id else {}


def unknown(kind: str) -> Exception:
    """The refusal of what never was, or may not be seen."""
    return refuse(404, "not-found", f"there is no such {kind}")


def written(done: ChangeResult, advice: Sequence[Issue] = ()) -> JsonResponse:
    """A write that is done.  https://hl7.org/fhir/R4/http.html#create"""
    version = done.version
    if version is None or version.body is None:
        return _deleted(version)
    place = f"{url(version)}/_history/{version.version_id}"
    headers = {**stamps(version), "Location": place, "Content-Location": place}
    status = 201 if done.outcome == "created" else 200
    wanted, returned = form(), preference(request, "return").lower()
    if returned == "minimal":
        return json_response(b"", status, headers)
    if returned == "operationoutcome":
        return json_response(outcome(advice), status, headers, wanted)
    return json_response(format_resource(version.body, wanted), status, headers, wanted)


def _deleted(version: Version | None) -> JsonResponse:
    headers = _tag(version)
    if preference(request, "return").lower() == "operationoutcome":
        return json_response(outcome(()), 200, headers, form())
    return json_response(b"", 204, headers)


def bundle(
    kind: str,
    entries: Iterable[bytes],
    *,
    total: int | None = None,
    links: dict[str, str],
    wanted: ResultFormat,
) -> JsonResponse:
    """A Bundle made of texts; no resource in it is read.  https://hl7.org/fhir/R4/bundle.html"""
    parts = [b'{"resourceType":"Bundle","type":"', kind.encode(), b'"']
    if total is not None:
        parts += [b',"total":', str(total).encode()]
    parts += [b',"link":', dumps([{"relation": n, "url": u} for n, u in links.items()])]
    if joined := b",".join(entries):
        parts += [b',"entry":[', joined, b"]"]
    return json_response(b"".join((*parts, b"}")), result_format=wanted)


def matches(versions: Iterable[Version], mode: str, wanted: ResultFormat) -> Iterator[bytes]:
    """Entries of a searchset."""
    base = dumps(facade().config.base)[:-1]
    for version in versions:
        assert version.body is not None
        text = format_resource(version.body, wanted)
        place = f"{version.type}/{version.id}"  # nothing in it need be escaped
        yield b'{"fullUrl":%b/%b","resource":%b,"search":{"mode":"%b"}}' % (
            base,
            place.encode(),
            text,
            mode.encode(),
        )


def past(version: Version, wanted: ResultFormat) -> bytes:
    """An entry of a history.  https://hl7.org/fhir/R4/http.html#history"""
    what = version.type if version.method == "POST" else f"{version.type}/{version.id}"
    status = {"POST": "201", "DELETE": "204"}.get(version.method, "200")
    facts = {
        "request": {"method": version.method, "url": what},
        "response": {
            "status": "201" if version.version_id == 1 and version.method != "DELETE" else status,
            "etag": format_etag(version.version_id),
            "lastModified": format_instant(version.last_updated),
        },
    }
    text = (
        b"" if version.body is None else b'"resource":%b,' % format_resource(version.body, wanted)
    )
    return b'{"fullUrl":%b,%b%b' % (dumps(url(version)), text, dumps(facts)[1:])


def as_value(version: Version) -> dict[str, object]:
    """The resource of a version, read."""
    value: dict[str, object] = loads(version.body or b"{}")
    return value
