"""The requested format of a result.  https://hl7.org/fhir/R4/http.html#parameters"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from flask import Request

from fhir_b12.definitions import R4
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.wire.media_types import FHIR_JSON, JSON
from fhir_b12.server.wire.query import parse_query_string

#: `_format` also accepts a short name
_FORMATS = JSON | {"json"}
_SUMMARIES = ("true", "text", "data", "count", "false")
_SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_ALWAYS_INCLUDED = {"resourceType", "id", "meta"}


class ResultFormat(NamedTuple):
    """Indentation of a response, and the elements of its resources."""

    pretty: bool = False
    summary: str = "false"  #: https://hl7.org/fhir/R4/search.html#summary
    elements: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """True if resources are returned with all elements."""
        return self.summary in {"false", "count"} and not self.elements


DEFAULT = ResultFormat()


def requested_format(request: Request, config: Config) -> ResultFormat:
    """Return the format that the URL and Accept of a request ask for.

    Raises:
        NotAcceptableError: the client does not accept JSON.
        RequestError: 400 if `_summary` is invalid.

    """
    accept = request.environ.get("HTTP_ACCEPT", "")
    query = request.environ.get("QUERY_STRING", "")
    if not query:
        if not _accepts_json(accept):
            raise NotAcceptableError
        return DEFAULT
    parameters: dict[str, str] = {}
    for name, value in parse_query_string(query.encode("latin-1"), config):
        parameters.setdefault(name, value)
    return parse_result_format(parameters, accept)


def parse_result_format(parameters: Mapping[str, str], accept: str) -> ResultFormat:
    """Return the format that `_format`, `_summary`, `_elements`, `_pretty` and Accept ask for.

    Raises:
        NotAcceptableError: the client does not accept JSON.
        RequestError: 400 if `_summary` is invalid.

    """
    # an unencoded `+` of a media type arrives as a space
    media_type = parameters.get("_format", "").partition(";")[0].strip().lower().replace(" ", "+")
    if not (media_type in _FORMATS if media_type else _accepts_json(accept)):
        raise NotAcceptableError
    summary = parameters.get("_summary", "false")
    if summary not in _SUMMARIES:
        raise RequestError(400, "value", f"_summary must be one of {', '.join(_SUMMARIES)}")
    elements = tuple(filter(None, parameters.get("_elements", "").split(",")))
    return ResultFormat(parameters.get("_pretty") == "true", summary, elements)


@lru_cache(maxsize=256)
def _accepts_json(header: str) -> bool:
    """Return True if an Accept allows JSON, even if it prefers something else."""
    if not header.strip():
        return True
    for part in header.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        if weights and re.fullmatch(r"0(\.0*)?", weights[0]):
            continue
        if media_type in JSON or media_type in {"*/*", "application/*", "*"}:
            return True
    return False


class NotAcceptableError(RequestError):
    """406: the client does not accept JSON."""

    def __init__(self) -> None:
        super().__init__(406, "not-supported", f"only JSON is available: accept {FHIR_JSON}")


def format_resource(text: bytes, result_format: ResultFormat) -> bytes:
    """Return a resource with the requested elements; one with fewer is tagged SUBSETTED."""
    if result_format.is_complete:
        return text
    value = loads(text)
    is_included = _element_filter(value["resourceType"], result_format)
    included = {name: part for name, part in value.items() if is_included(name.lstrip("_"))}
    meta = dict(included.get("meta", {}))
    meta["tag"] = [*meta.get("tag", ()), _SUBSETTED]
    first = {"resourceType": included.pop("resourceType"), "id": included.pop("id"), "meta": meta}
    return dumps(first | {name: part for name, part in included.items() if name != "meta"})


def _element_filter(resource_type: str, result_format: ResultFormat) -> Callable[[str], bool]:
    """Return a function that is True for the names of the elements to include."""
    if result_format.summary == "data":
        return lambda name: name != "text"
    requested = {
        name.removeprefix(f"{resource_type}.").partition(".")[0] for name in result_format.elements
    }
    included = _ALWAYS_INCLUDED | _summary_elements(resource_type, result_format.summary)
    included |= requested
    return lambda name: (
        name in included
        or any(f"{choice}[x]" == _choice_element(resource_type, name) for choice in requested)
    )


def _choice_element(resource_type: str, name: str) -> str:
    """Return `value[x]` for `valueQuantity`, the name itself for other elements."""
    definition = R4.element(f"{resource_type}.{name}")
    return definition.defined.partition(".")[2] if definition else ""


@lru_cache(maxsize=256)
def _summary_elements(resource_type: str, summary: str) -> frozenset[str]:
    """Return the elements in a summary; the required ones are in all of them."""
    names = {"text"} if summary == "text" else set()
    for name in R4.children(resource_type):
        definition = R4.element(f"{resource_type}.{name}")
        if definition and (definition.min or (summary == "true" and definition.is_summary)):
            names.add(name)
    return frozenset(names)
