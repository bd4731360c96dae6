"""Everything in a resource that is not of the type its element has, each with its place."""

from collections.abc import Iterator
from typing import Any

import msgspec

from fhir_b12.datatypes import from_json
from fhir_b12.issues import Issue


def sift(
    resource: dict[str, Any], shape: type[msgspec.Struct], path: str
) -> tuple[msgspec.Struct, list[Issue]]:
    """The elements that can be read, as a twin, and an issue for each place that cannot."""
    issues: list[Issue] = []
    good = {}
    for field in msgspec.structs.fields(shape):
        name = field.encode_name
        if name not in resource:
            continue
        found = list(faults(resource[name], field.type, f"{path}.{name}"))
        issues += found
        if not found:
            good[name] = resource[name]
    return msgspec.convert(good, shape, dec_hook=from_json), issues


def faults(node: Any, kind: Any, path: str) -> Iterator[Issue]:
    """An issue for each innermost place that does not convert."""
    try:
        msgspec.convert(node, kind, dec_hook=from_json)
    except msgspec.ValidationError as error:
        inner = [issue for child in _children(node, kind, path) for issue in faults(*child)]
        yield from inner or [_issue(path, error)]


def _children(node: Any, kind: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    options = [kind, *getattr(kind, "__args__", ())]
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


def _issue(path: str, error: msgspec.ValidationError) -> Issue:
    name = path.rpartition(".")[2]
    if name == "modifierExtension":
        what = "a modifier extension changes the meaning of what it stands in, so it is not read"
        return Issue("error", "extension", path, what)
    if name == "implicitRules":
        what = "implicit rules change the meaning of the resource, so it is not read"
        return Issue("error", "not-supported", path, what)
    what = str(error).partition(" - at ")[0].replace("`", "")
    return Issue("error", "structure" if what.startswith("Expected") else "value", path, what)
