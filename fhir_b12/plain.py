"""A therapy record as plain JSON, checked with every error at once."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft202012Validator

from fhir_b12.datatypes import DateTime, convert
from fhir_b12.issues import Issue
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.faults import faults
from fhir_b12.records import TherapyRecord

_DATE = r"^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$"


def to_plain(record: TherapyRecord) -> dict[str, Any]:
    """The record as plain JSON: dicts, lists, strings, numbers with their digits."""
    plain: dict[str, Any] = builtins(record)
    return plain


def from_plain(data: Any) -> tuple[TherapyRecord | None, tuple[Issue, ...]]:
    """The record that plain JSON holds, or everything that is wrong with it."""
    issues = tuple(_wrong(data)) or tuple(faults(data, TherapyRecord, "$"))
    if issues:
        return None, issues
    return convert(data, TherapyRecord), ()


def _wrong(data: Any) -> Iterator[Issue]:
    for error in _validator().iter_errors(data):
        yield from _leaves(error)


def _leaves(error: Any) -> Iterator[Issue]:
    """One issue for an error; of alternatives, the errors of the one that is not null."""
    inner = [e for e in error.context or () if e.validator != "type" or e.path]
    if inner:
        for each in inner:
            yield from _leaves(each)
        return
    path = "$" + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    )
    code, what = _words(error)
    yield Issue("error", code, path, what)


def _words(error: Any) -> tuple[str, str]:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return "required", f"missing: {', '.join(missing)}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = [name for name in error.instance if name not in known]
        return "structure", f"unknown: {', '.join(extra)}; there are {', '.join(known)}"
    if error.validator == "pattern":
        return "value", "not a FHIR date: write YYYY, YYYY-MM, YYYY-MM-DD or with time and offset"
    return "structure", f"not of type {error.schema.get('type', 'asked for')}"


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a therapy record as plain JSON."""
    (root,), parts = msgspec.json.schema_components(
        [TherapyRecord], schema_hook=_hook, ref_template="#/$defs/{name}"
    )
    for part in parts.values():
        if part.get("type") == "object":
            part["additionalProperties"] = False
            part["properties"].pop("modifierExtension", None)
            for name, each in part["properties"].items():
                part["properties"][name] = _number(each)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://fhir-b12.org/therapy-record.schema.json",
        **root,
        "$defs": parts,
    }


_DECIMAL = {"type": "string", "format": "decimal"}  # msgspec's word for it; ours are JSON numbers


def _number(part: dict[str, Any]) -> dict[str, Any]:
    kinds = part.get("anyOf", ())
    if _DECIMAL not in kinds:
        return part
    others = [kind for kind in kinds if kind not in ({"type": "integer"}, _DECIMAL)]
    return {**part, "anyOf": [{"type": "number"}, *others]}


def _hook(kind: type) -> dict[str, Any]:
    if issubclass(kind, DateTime):
        return {"type": "string", "pattern": _DATE}
    raise NotImplementedError
