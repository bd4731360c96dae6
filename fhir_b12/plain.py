"""Conversion of therapy records to and from plain JSON, with all errors reported at once."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from fhir_b12.datatypes import Date, DateTime, Instant, convert
from fhir_b12.issues import Issue
from fhir_b12.jsonscan import expression
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.ledger import Plan
from fhir_b12.mapping.type_errors import faults
from fhir_b12.records import TherapyRecord
from fhir_b12.suggestions import did_you_mean_or_list

_DAY = "[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?"
_OFFSET = "(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_MOMENT = f"[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{_CLOCK}{_OFFSET}"
_END = r"(?![\s\S])"  # `$` would also match before a final line break
_PATTERNS = {
    Date: f"^{_DAY}{_END}",
    Instant: f"^{_MOMENT}{_END}",
    DateTime: f"^({_DAY}|{_MOMENT}){_END}",
}


def to_plain(record: TherapyRecord) -> dict[str, Any]:
    """Return a therapy record as plain JSON.

    Args:
        record: record of one patient.

    Returns:
        Dicts, lists, strings and Decimals; `fhir_b12.dumps` writes them with all digits.

    """
    plain: dict[str, Any] = builtins(record)
    return plain


def from_plain(data: Any) -> tuple[TherapyRecord | None, tuple[Issue, ...]]:
    """Return the therapy record that plain JSON contains, checked by its JSON Schema.

    Args:
        data: plain JSON as `fhir_b12.loads` returns it.

    Returns:
        The record without issues, or None with all issues.

    """
    try:
        record: TherapyRecord = convert(data, TherapyRecord)
    except msgspec.ValidationError:
        pass
    else:
        if _is_known(data, _FIELDS):
            return record, ()
    issues = list(_schema_issues(data))
    reported = {issue.expression for issue in issues}
    issues += [
        fault for fault in faults(data, TherapyRecord, "$") if fault.expression not in reported
    ]
    return None, tuple(issues)


_FIELDS = Plan("", TherapyRecord)


def _is_known(node: Any, step: Plan) -> bool:
    """Return True if all fields are fields of the record."""
    if step.whole:
        return True
    if isinstance(node, list):
        return all(_is_known(item, step) for item in node)
    if isinstance(node, dict):
        for name, child in node.items():
            inner = step[name]
            if inner is None or (child.__class__ is not str and not _is_known(child, inner)):
                return False
    return True


def _schema_issues(data: Any) -> Iterator[Issue]:
    for error in _validator().iter_errors(data):
        yield from _issues_of_error(error)


def _issues_of_error(error: Any) -> Iterator[Issue]:
    """Yield the issues of a schema error; of alternatives, those that are not null."""
    inner = [e for e in error.context or () if e.validator != "type" or e.path]
    if inner:
        for cause in inner:
            yield from _issues_of_error(cause)
        return
    path = tuple(error.absolute_path)
    if error.validator == "required":
        # every missing property has an error of its own, which names it
        missing = next(name for name in error.validator_value if f"'{name}'" in error.message)
        what = f"{missing} is missing: add a value"
        yield Issue("error", "required", expression("$", path), what)
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for name in error.instance:
            if name not in known:
                yield Issue(
                    "error",
                    "structure",
                    expression("$", (*path, name)),
                    _unknown_field_message(name, known),
                )
    else:
        code = "value" if error.validator == "pattern" else "structure"
        yield Issue(
            "error", code, expression("$", path), f"write {_describe_expected(error.schema)}"
        )


def _unknown_field_message(name: str, known: dict[str, Any]) -> str:
    return f"no such field{did_you_mean_or_list(name, known)}"


_TYPE_NAMES = {
    "object": "an object in braces",
    "array": "a list in brackets",
    "string": "a string in quotes",
    "number": "a number without quotes",
    "integer": "a whole number without quotes",
    "boolean": "true or false",
}


def _describe_expected(part: dict[str, Any]) -> str:
    """Describe what a part of the schema requires."""
    if "pattern" in part:
        return str(part["description"])
    alternatives = part.get("anyOf", [part])
    words = [
        _describe_expected(alternative)
        if "pattern" in alternative
        else _TYPE_NAMES[_json_type(alternative)]
        for alternative in alternatives
        if alternative != _NULL
    ]
    return " or ".join(dict.fromkeys(words))


_NULL = {"type": "null"}


def _json_type(part: dict[str, Any]) -> str:
    return str(part.get("type", "object"))  # a part without type refers to the schema of an object


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a therapy record as plain JSON."""
    (root,), parts = msgspec.json.schema_components(
        [TherapyRecord], schema_hook=_date_schema, ref_template="#/$defs/{name}"
    )
    for part in parts.values():
        if part.get("type") == "object":
            if "description" in part:  # the docstring of the class, without its fields
                part["description"] = part["description"].partition("\n\nAttributes:")[0]
            part["additionalProperties"] = False
            part["properties"].pop("modifierExtension", None)
            for name, definition in part["properties"].items():
                part["properties"][name] = _as_json_number(definition)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://fhir-b12.org/therapy-record.schema.json",
        **root,
        "$defs": parts,
    }


_DECIMAL = {
    "type": "string",
    "format": "decimal",
}  # as msgspec describes Decimal; written as a JSON number


def _as_json_number(part: dict[str, Any]) -> dict[str, Any]:
    alternatives = part.get("anyOf", ())
    if _DECIMAL not in alternatives:
        return part
    others = [
        alternative
        for alternative in alternatives
        if alternative not in ({"type": "integer"}, _DECIMAL)
    ]
    return {**part, "anyOf": [{"type": "number"}, *others]}


def _date_schema(hint: type) -> dict[str, Any]:
    """Return the schema of a date, for msgspec.

    Raises:
        NotImplementedError: the type is not a date; msgspec requires this exception.

    """
    if issubclass(hint, DateTime):
        description = f"a FHIR {hint.name}: {hint.forms}"
        return {"type": "string", "pattern": _PATTERNS[hint], "description": description}
    raise NotImplementedError
