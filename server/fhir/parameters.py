"""What an operation is given: Parameters, or the query of its url.

https://hl7.org/fhir/R4/operations.html#request
"""

from collections.abc import Collection
from typing import Any

from flask import request

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.errors import refuse
from fhir_b12.server.fhir.context import facade, form
from fhir_b12.server.wire.body import read_body, require_resource_type
from fhir_b12.server.wire.media_types import JSON, require_media_type
from fhir_b12.server.wire.query import parse_query_string
from fhir_b12.server.wire.response import JsonResponse, json_response

_SHAPE = {"_format", "_pretty"}


class Inputs:
    """Names and values, in their order; what is asked for twice where one is meant is refused."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def __contains__(self, name: str) -> bool:
        return bool(self.every(name))

    def every(self, name: str) -> list[Any]:
        """All values of a name."""
        return [value for known, value in self._pairs if known == name]

    def one(self, name: str, kind: type = object) -> Any:
        """The value of a name, or None."""
        found = self.every(name)
        if len(found) > 1:
            raise refuse(400, "invalid", f"{name} is given more than once")
        if found and not isinstance(found[0], kind):
            raise refuse(400, "value", f"{name} is of the wrong type")
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """A text, or None."""
        value: str | None = self.one(name, str)
        return value

    def flag(self, name: str) -> bool:
        """True where it is given and true."""
        value = self.one(name)
        if value not in {None, True, False, "true", "false"}:
            raise refuse(400, "value", f"{name} is true or false")
        return value in {True, "true"}

    def number(self, name: str) -> int | None:
        """A whole number of at most nine digits, or None."""
        value = self.one(name)
        if value is None:
            return None
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise refuse(400, "value", f"{name} is a whole number")
        return int(text)

    def coding(self) -> list[dict[str, Any]]:
        """The codes that are asked about: code and system, a Coding, or a CodeableConcept."""
        concept, coding = self.one("codeableConcept", dict), self.one("coding", dict)
        if concept is not None:
            found = concept.get("coding")
            return [each for each in found if isinstance(each, dict)] if found else []
        if coding is not None:
            return [coding]
        names = ("system", "code", "display", "version")
        named = {name: value for name in names if (value := self.text(name)) is not None}
        return [named] if "code" in named else []


def inputs(known: Collection[str]) -> Inputs:
    """Those of this request; a name that is not known is refused, for it would do nothing."""
    pairs: list[tuple[str, Any]] = [
        pair
        for pair in parse_query_string(request.query_string, facade().config)
        if pair[0] not in _SHAPE
    ]
    if request.method == "POST":
        require_media_type(request, JSON)
        text = read_body(request, facade().config)
        if text.strip():
            pairs += of_parameters(loads(text, max_bytes=facade().config.max_body))
    if strange := sorted({name for name, _ in pairs} - set(known)):
        these = ", ".join(known)
        message = f"{len(strange)} parameters are not known here; known are {these}"
        raise refuse(400, "not-supported", message)
    return Inputs(pairs)


def of_parameters(value: Any) -> list[tuple[str, Any]]:
    """The names and values of a Parameters resource.  https://hl7.org/fhir/R4/parameters.html"""
    parts = require_resource_type(value, "Parameters").get("parameter", [])
    found = []
    for index, part in enumerate(parts if isinstance(parts, list) else [None]):
        values = [
            each
            for name, each in (part.items() if isinstance(part, dict) else ())
            if name == "resource" or name.startswith("value")
        ]
        if len(values) != 1 or not isinstance(part.get("name"), str):
            place = f"Parameters.parameter[{index}]"
            raise refuse(400, "structure", "a parameter has a name and one value", place)
        found.append((part["name"], values[0]))
    return found


def parameters(*rows: tuple[str, str, Any]) -> JsonResponse:
    """Parameters as answer: name, `valueBoolean`, value; what is None is left out."""
    given = [{"name": name, kind: value} for name, kind, value in rows if value is not None]
    text = dumps({"resourceType": "Parameters", "parameter": given})
    return json_response(text, result_format=form())
