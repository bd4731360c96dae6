"""Read a resource, as it is or as it was.  https://hl7.org/fhir/R4/http.html#read"""

from fhir_b12.server.fhir import conformance, responses
from fhir_b12.server.fhir.context import Route, access, facade, seen
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.response import JsonResponse


def read(kind: str, name: str) -> JsonResponse:
    """`GET Type/id`"""
    allowed = access()
    version = facade().store.read(kind, name, allowed) if is_id(name) else None
    if version is None:
        raise responses.unknown(kind)
    seen((version,))
    return responses.shown(version)


def vread(kind: str, name: str, number: str) -> JsonResponse:
    """`GET Type/id/_history/version`  https://hl7.org/fhir/R4/http.html#vread"""
    allowed = access()
    known = is_id(name) and number.isascii() and number.isdecimal() and len(number) < 18
    version = facade().store.vread(kind, name, int(number), allowed) if known else None
    if version is None:
        raise responses.unknown(kind)
    seen((version,))
    return responses.shown(version)


def definition(kind: str, name: str) -> JsonResponse:
    """One of the definitions that ship with the library."""
    version = conformance.all_of(kind).get(name)
    if version is None:
        raise responses.unknown(kind)
    return responses.shown(version)


ROUTES = (
    Route("read", ("GET",), "<stored:kind>/<name>", read),
    Route("vread", ("GET",), "<stored:kind>/<name>/_history/<number>", vread),
    Route("read", ("GET",), "<shipped:kind>/<name>", definition, public=True),
)
