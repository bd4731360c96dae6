"""Normalize malformed resources: report every malformed part and return the rest well shaped.

The normalizer runs only on resources that the quick check rejects. It removes parts that no later
stage can read (unknown elements, an object instead of a string), corrects those with one possible
meaning (an object instead of a list of one) and leaves all others, so that later stages see every
element as its type defines it.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.findings import Finding, Path
from fhir_b12.validation.structure.shapes import ELEMENT, Member, Shape, get_shape

_REMOVED = object()  #: the result for a value that is removed
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?\Z")
_MIN_LENGTH = 5  #: letters of a name in which one wrong letter is corrected
_REMOVE_FIX = ({"op": "remove", "path": ""},)
_PRIMITIVES = (str, bool, int, float, Decimal)
_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, Decimal, float),
}


class Normalizer:
    """Normalizes one value.

    Attributes:
        findings: What was malformed; paths are those of the given value.
        original_indices: For each list of the result from which items were removed, by its path,
            the indices that the remaining items had.
        wrapped: Paths of lists of the result that are one object in the given value.

    """

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.original_indices: dict[Path, list[int]] = {}
        self.wrapped: set[Path] = set()

    def normalize(self, node: Any, path: Path = ()) -> dict[str, Any] | None:
        """Return a well-shaped copy of a resource; None if it is not a resource of R4."""
        if not isinstance(node, dict):
            self._add("no-resource", path, hint="")
            return None
        resource_type = node.get("resourceType")
        if not (isinstance(resource_type, str) and R4.is_resource(resource_type)):
            self._add("no-resource", path, hint=_resource_type_hint(resource_type))
            return None
        rest = {key: value for key, value in node.items() if key != "resourceType"}
        shape = get_shape(resource_type)
        members = self._normalize_object(rest, shape, path, resource_type)
        return {"resourceType": resource_type} | members

    def _add(
        self, rule: str, path: Path, *, fix: tuple[dict[str, Any], ...] = (), **values: Any
    ) -> None:
        self.findings.append(Finding(rule, *path, fix=fix, **values))

    def _normalize_object(
        self, node: dict[str, Any], shape: Shape, path: Path, type_name: str
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first_choices = _first_choices(node, shape)
        broken: list[str] = []  # HL7's validator also drops a primitive with a broken companion
        for key, value in node.items():
            name = str(key)  # the keys of a Python dict may have any type
            member = shape.members.get(name)
            if member is None:
                self._report_unknown_member(name, value, node, shape, path, type_name)
                continue
            stem = shape.choices.get(name)
            if stem is not None:
                plain_name = member.companion_of or name
                if first_choices[stem] != plain_name:
                    first = first_choices[stem]
                    self._add("second-choice", (*path, name), stem=stem, first=first)
                    continue
            normalized = self._normalize_member(value, member, (*path, name))
            if normalized is not _REMOVED:
                result[name] = normalized
            elif member.companion_of and not member.many:
                broken.append(member.companion_of)
        for name in broken:
            result.pop(name, None)
        for name, member in shape.members.items():
            owner = member.companion_of
            if owner and member.many and (name in result or owner in result):
                self._align_companions(result, owner, path)
        return result

    def _report_unknown_member(  # noqa: PLR0917
        self,
        name: str,
        value: Any,
        node: dict[str, Any],
        shape: Shape,
        path: Path,
        type_name: str,
    ) -> None:
        primitive = shape.members.get(name[1:]) if name[:1] == "_" else None
        if primitive is not None and primitive.json:
            self._add("no-companion", (*path, name[1:]), name=name[1:65])
            return
        similar = R4.suggest(f"{shape.key}.{name[:64]}")
        self._add(
            "unknown-element",
            (*path, name),
            type=type_name,
            name=name[:64],
            hint=_element_hint(similar),
            fix=_rename_fix(name, similar, value, node, shape),
        )

    def _normalize_member(self, value: Any, member: Member, path: Path) -> Any:
        if not member.many:
            return self._normalize_item(value, member, path)
        if not isinstance(value, list):
            if value is None:
                self._add("not-null", path, name=member.name, fix=_REMOVE_FIX)
                return _REMOVED
            self._add("not-list", path, name=member.name, fix=_replace_fix([value]))
            self.wrapped.add(path)
            item = self._normalize_item(value, member, path)
            return _REMOVED if item is _REMOVED else [item]
        if not value:
            self._add("empty-list", path, name=member.name, fix=_REMOVE_FIX)
            return _REMOVED
        return self._normalize_items(value, member, path)

    def _normalize_items(self, values: list[Any], member: Member, path: Path) -> Any:
        if member.json or member.companion_of:  # null is allowed beside a companion
            aligned = [
                None if item is None else self._normalize_item(item, member, (*path, index))
                for index, item in enumerate(values)
            ]
            return [None if item is _REMOVED else item for item in aligned]
        items: list[Any] = []
        indices: list[int] = []
        for index, value in enumerate(values):
            item = self._normalize_item(value, member, (*path, len(items)), (*path, index))
            if item is not _REMOVED:
                items.append(item)
                indices.append(index)
        if len(items) < len(values):
            self.original_indices[path] = indices
        return items or _REMOVED

    def _normalize_item(
        self, value: Any, member: Member, path: Path, original_path: Path | None = None
    ) -> Any:
        """Return one value well shaped; findings about it have the path in the given value."""
        original_path = path if original_path is None else original_path
        if value is None:
            self._add("not-null", original_path, name=member.name)
            return _REMOVED
        if member.json is not None:
            return self._normalize_primitive(value, member, original_path)
        if not isinstance(value, dict):
            self._add("not-object", original_path, name=member.name, actual=_json_type(value))
            return _REMOVED
        if not value:
            self._add("empty-object", original_path, name=member.name)
            return _REMOVED if member.is_resource else {}
        if member.is_resource:
            resource = self.normalize(value, path)
            return _REMOVED if resource is None else resource
        key = ELEMENT if member.companion_of else member.key
        return self._normalize_object(value, get_shape(key), path, member.type)

    def _normalize_primitive(self, value: Any, member: Member, path: Path) -> Any:
        expected = member.json or "string"
        actual = _json_type(value)
        if not isinstance(value, _PRIMITIVES):
            self._add("not-simple", path, name=member.name, expected=expected, actual=actual)
            return _REMOVED
        classes = _CLASSES[expected]
        if isinstance(value, classes) and (expected == "boolean" or not isinstance(value, bool)):
            return value
        converted = _convert(value, expected)
        fix = _replace_fix(converted) if _is_same_value(value, converted) else ()
        self._add("wrong-kind", path, name=member.name, expected=expected, actual=actual, fix=fix)
        return converted

    def _align_companions(self, result: dict[str, Any], name: str, path: Path) -> None:
        """Give a list of primitives and the list of their companions one length.

        An index at which both are null is reported and removed.
        """
        values, companions = result.get(name), result.get(f"_{name}")
        length = max(len(values or ()), len(companions or ()))
        values = [*(values or ()), *[None] * (length - len(values or ()))]
        companions = [*(companions or ()), *[None] * (length - len(companions or ()))]
        for index in range(length):
            if values[index] is None and companions[index] is None:
                self._add("null-alone", (*path, name), name=name, index=index)
        pairs = [pair for pair in zip(values, companions, strict=True) if pair != (None, None)]
        for key, side in ((name, 0), (f"_{name}", 1)):
            result.pop(key, None)
            if any(pair[side] is not None for pair in pairs):
                result[key] = [pair[side] for pair in pairs]


def _convert(value: Any, json_type: str) -> Any:
    """Return the value in another JSON type; _REMOVED if it has none in it."""
    if json_type == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if json_type == "number" and isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return _REMOVED
        return number if number.is_finite() else _REMOVED
    return (
        {"true": True, "false": False}.get(value, _REMOVED) if json_type == "boolean" else _REMOVED
    )


def _json_type(value: Any) -> str:
    """Return the JSON type of a value with its article, for messages."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "a boolean"
    return "a string" if isinstance(value, str) else "a number"


def _is_same_value(value: Any, converted: Any) -> bool:
    """Return True if a conversion is certain: "0.52" means 0.52, but "1e3" may be a text."""
    if converted is _REMOVED or (isinstance(value, bool) and isinstance(converted, str)):
        return False
    return not isinstance(value, str) or isinstance(converted, bool) or bool(_NUMBER.match(value))


def _replace_fix(value: Any) -> tuple[dict[str, Any], ...]:
    return ({"op": "replace", "path": "", "value": value},)


def _rename_fix(
    name: str, similar: str | None, value: Any, node: dict[str, Any], shape: Shape
) -> tuple[dict[str, Any], ...]:
    """Return the fix for a misspelled name, if the right one is free and has such values."""
    right = (similar or "").rpartition(".")[2]
    member = shape.members.get(right)
    if member is None or right in node or not _is_misspelling(name, right):
        return ()
    used_choices = {shape.choices.get(other) for other in node if other in shape.choices}
    if shape.choices.get(right) in used_choices:
        return ()
    item = value[0] if member.many and isinstance(value, list) and value else value
    is_possible = isinstance(item, _PRIMITIVES) if member.json else isinstance(item, dict)
    return ({"op": "move", "from": "", "path": f"../{right}"},) if is_possible else ()


def _is_misspelling(name: str, right: str) -> bool:
    """Return True for one letter more, less or other, two swapped letters, or another case."""
    if name.lower() == right.lower():
        return True
    if abs(len(name) - len(right)) > 1 or len(right) < _MIN_LENGTH:
        return False
    pairs = enumerate(zip(name, right, strict=False))
    same = next((index for index, (a, b) in pairs if a != b), min(len(name), len(right)))
    rest, other = name[same:], right[same:]
    swapped = rest[1::-1] + rest[2:]
    return other in {rest[1:], swapped} or other[1:] in {rest, rest[1:]}


def _resource_type_hint(resource_type: Any) -> str:
    similar = (
        R4.suggest(resource_type) if isinstance(resource_type, str) and resource_type else None
    )
    return f" (did you mean {similar}?)" if similar and R4.is_resource(similar) else ""


def _element_hint(similar: str | None) -> str:
    """Return the end of the message on an unknown element: the remedy."""
    if similar is None:
        return ": remove it, or use an extension"
    last = similar.rpartition(".")[2]
    if last.endswith("[x]"):
        return f": write {last.removesuffix('[x]')} and its type"
    return f": did you mean {last}?"


def _first_choices(node: dict[str, Any], shape: Shape) -> dict[str, str]:
    """Return the member that counts for each choice: the first one."""
    first: dict[str, str] = {}
    for name in node:
        stem = shape.choices.get(name)
        if stem is not None:
            first.setdefault(stem, shape.members[name].companion_of or name)
    return first
