"""Issues for every part of a value whose type is not that of its field."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from fhir_b12.datatypes import convert
from fhir_b12.issues import Issue

MODIFIED = "a modifier extension changes the meaning of its element, so it is not read: remove it"


def faults(node: Any, hint: Any, path: str) -> Iterator[Issue]:
    """Yield an issue for each innermost element that does not convert."""
    try:
        convert(node, hint)
    except msgspec.ValidationError as error:
        inner = [issue for child in _children(node, hint, path) for issue in faults(*child)]
        yield from inner or [_issue(path, error)]


def _children(node: Any, hint: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    options = [hint, *getattr(hint, "__args__", ())]
    if isinstance(node, dict):
        for option in options:
            if isinstance(option, type) and issubclass(option, msgspec.Struct):
                for field in msgspec.structs.fields(option):
                    if field.encode_name in node:
                        name = field.encode_name
                        yield node[name], field.type, f"{path}.{name}"
    elif isinstance(node, list):
        item = next(
            (o.__args__[0] for o in options if getattr(o, "__origin__", None) is tuple), None
        )
        if item is not None:
            for index, value in enumerate(node):
                yield value, item, f"{path}[{index}]"


_EXPECTED = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_TYPE_NAMES = {
    "str": "a string",
    "int": "a whole number",
    "decimal": "a number",
    "float": "a binary float, which has lost its digits (read JSON with fhir_b12.loads)",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def _issue(path: str, error: msgspec.ValidationError) -> Issue:
    if path.endswith(".modifierExtension"):
        return Issue("error", "extension", path, MODIFIED)
    what = str(error).partition(" - at ")[0]
    match = _EXPECTED.fullmatch(what)
    if match is None:
        return Issue("error", "value", path, what.replace("`", ""))
    expected = match[1].replace("int | decimal", "decimal").replace(" | null", "")
    return Issue(
        "error",
        "structure",
        path,
        f"write {_describe_type(expected)} here, not {_describe_type(match[2])}",
    )


def _describe_type(name: str) -> str:
    return _TYPE_NAMES.get(name, name)
