"""Parameters of an operation: in a Parameters resource, or in the query of the URL.

https://hl7.org/fhir/R4/operations.html#request
"""

from collections.abc import Collection
from typing import Any

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.wire.body import read_body, require_resource_type
from fhir_b12.server.wire.media_types import JSON, require_media_type
from fhir_b12.server.wire.response import JsonResponse, json_response
from fhir_b12.suggestions import did_you_mean

Json = dict[str, Any]
_FORMAT_PARAMETERS = {"_format", "_pretty"}


class OperationParameters:
    """Names and values, in their order."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self._pairs = pairs

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def all(self, name: str) -> list[Any]:
        """Return all values of a parameter."""
        return [value for known, value in self._pairs if known == name]

    def one(self, name: str, value_type: type = object) -> Any:
        """Return the value of a parameter, None if missing.

        Raises:
            RequestError: 400 if it occurs more than once, or its value is of another type.

        """
        values = self.all(name)
        if len(values) > 1:
            raise RequestError(400, "invalid", f"parameter {name} occurs more than once: send one")
        if values and not isinstance(values[0], value_type):
            raise RequestError(400, "value", f"parameter {name} has a value of the wrong type")
        return values[0] if values else None

    def text(self, name: str) -> str | None:
        """Return the text of a parameter, None if missing."""
        value: str | None = self.one(name, str)
        return value

    def flag(self, name: str) -> bool:
        """Return the boolean of a parameter, False if missing.

        Raises:
            RequestError: 400 if it is not a boolean.

        """
        value = self.one(name)
        if value not in {None, True, False, "true", "false"}:
            raise RequestError(400, "value", f"parameter {name} must be true or false")
        return value in {True, "true"}

    def number(self, name: str) -> int | None:
        """Return the whole number of a parameter, at most nine digits; None if missing.

        Raises:
            RequestError: 400 if it is not a whole number.

        """
        value = self.one(name)
        if value is None:
            return None
        text = str(value)
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            message = f"parameter {name} must be a whole number of at most 9 digits"
            raise RequestError(400, "value", message)
        return int(text)

    def codings(self) -> list[Json]:
        """Return the codings of `codeableConcept`, `coding`, or `code` and `system`."""
        concept, coding = self.one("codeableConcept", dict), self.one("coding", dict)
        if concept is not None:
            codings = concept.get("coding")
            return [value for value in codings if isinstance(value, dict)] if codings else []
        if coding is not None:
            return [coding]
        names = ("system", "code", "display", "version")
        parts = {name: value for name in names if (value := self.text(name)) is not None}
        return [parts] if "code" in parts else []


def read_parameters(context: RequestContext, known: Collection[str]) -> OperationParameters:
    """Read the parameters of a request from its URL and, if it is a POST, from its body.

    Raises:
        RequestError: 400 if a parameter is not in `known`: it would have no effect.

    """
    pairs: list[tuple[str, Any]] = [
        pair for pair in context.query_pairs() if pair[0] not in _FORMAT_PARAMETERS
    ]
    if context.request.method == "POST":
        require_media_type(context.request, JSON)
        text = read_body(context.request, context.config)
        if text.strip():
            pairs += parse_parameters(loads(text, max_bytes=context.config.max_body))
    if unknown := sorted({name for name, _ in pairs} - set(known)):
        hint = did_you_mean(unknown[0], known) or f": use {', '.join(known)}"
        raise RequestError(400, "not-supported", f"{len(unknown)} unknown parameters{hint}")
    return OperationParameters(pairs)


def parse_parameters(value: Any) -> list[tuple[str, Any]]:
    """Return names and values of a Parameters resource.

    https://hl7.org/fhir/R4/parameters.html

    Raises:
        RequestError: 400 if it is not a Parameters resource, or a parameter has no name or value.

    """
    rows = require_resource_type(value, "Parameters").get("parameter", [])
    pairs = []
    for index, row in enumerate(rows if isinstance(rows, list) else [None]):
        values = [
            part
            for name, part in (row.items() if isinstance(row, dict) else ())
            if name == "resource" or name.startswith("value")
        ]
        if len(values) != 1 or not isinstance(row.get("name"), str):
            expression = f"Parameters.parameter[{index}]"
            message = "a name and exactly one value are required"
            raise RequestError(400, "structure", message, expression)
        pairs.append((row["name"], values[0]))
    return pairs


def parameters_response(context: RequestContext, *rows: tuple[str, str, Any]) -> JsonResponse:
    """Respond with Parameters; each row is name, `valueBoolean`, value. None is left out."""
    parameters = [{"name": name, kind: value} for name, kind, value in rows if value is not None]
    text = dumps({"resourceType": "Parameters", "parameter": parameters})
    return json_response(text, result_format=context.result_format)
