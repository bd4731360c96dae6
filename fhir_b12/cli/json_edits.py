"""Apply a JSON Patch to a JSON text; everything else in the text stays as it was written.

https://www.rfc-editor.org/rfc/rfc6902: add, replace, remove, test, and move to another name in the
same object. White space, the order of keys and the digits of numbers are preserved.
"""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from fhir_b12.jsonio import dumps, loads
from fhir_b12.jsonscan import MAX_DEPTH

Patch = Sequence[dict[str, Any]]

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SCALAR = re.compile(r"[-+.\w]+")


class Edit(NamedTuple):
    """Replacement of the characters from `start` to `end` by `text`."""

    start: int
    end: int
    text: str


class EditError(ValueError):
    """A patch that cannot be applied to this text."""


class Span:
    """Start and end of a value in the text, with the spans of its members or items."""

    __slots__ = ("end", "items", "keys", "members", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.members: dict[str, Span] | None = None  #: of an object, by name
        self.keys: dict[str, tuple[int, int]] = {}  #: start and end of each key of an object
        self.items: list[Span] | None = None  #: of a list


def parse_spans(text: str) -> Span:
    """Return the spans of all values of a valid JSON text."""
    return _parse_value(text, _skip_space(text, 0), 0)


def _skip_space(text: str, offset: int) -> int:
    return _SPACE.match(text, offset).end()  # type: ignore[union-attr]  # may be empty


def _parse_value(text: str, offset: int, depth: int) -> Span:
    if depth > MAX_DEPTH:
        raise EditError("nested too deeply")
    span = Span(offset)
    opener = text[offset : offset + 1]
    if opener not in {"{", "["}:
        match = (_STRING if opener == '"' else _SCALAR).match(text, offset)
        if match is None:
            raise EditError("not valid JSON")
        span.end = match.end()
        return span
    closer = "}" if opener == "{" else "]"
    span.members, span.items = ({}, None) if opener == "{" else (None, [])
    offset = _skip_space(text, offset + 1)
    while text[offset : offset + 1] != closer:
        if span.members is not None:
            offset = _parse_member(text, offset, depth, span)
        else:
            assert span.items is not None
            span.items.append(_parse_value(text, offset, depth + 1))
            offset = span.items[-1].end
        offset = _skip_space(text, offset)
        if text[offset : offset + 1] == ",":
            offset = _skip_space(text, offset + 1)
        elif text[offset : offset + 1] != closer:
            raise EditError("not valid JSON")
    span.end = offset + 1
    return span


def _parse_member(text: str, offset: int, depth: int, span: Span) -> int:
    """Record one member of an object; return the offset after it.

    Raises:
        EditError: the text is not valid JSON.

    """
    key = _STRING.match(text, offset)
    if key is None:
        raise EditError("not valid JSON")
    name = json.loads(key[0])
    colon = _skip_space(text, key.end())
    value = _parse_value(text, _skip_space(text, colon + 1), depth + 1)
    assert span.members is not None
    span.keys[name] = key.span()
    span.members[name] = value
    return value.end


def apply_patches(text: str, patches: Iterable[Patch]) -> tuple[str, int]:
    """Apply all patches that fit the text.

    Args:
        text: a valid JSON text.
        patches: JSON Patches, each with paths into the text as it is. Of two that change the same
            characters, only the first is applied.

    Returns:
        The changed text, and the number of patches applied.

    Raises:
        EditError: the text is not valid JSON, or nested too deeply.

    """
    root = parse_spans(text)
    accepted: list[Edit] = []
    count = 0
    for patch in patches:
        try:
            operations = _as_rename(text, root, patch)
            edits = [edit for step in operations for edit in _edits_of(text, root, step)]
        except (EditError, KeyError, TypeError):
            continue
        combined = sorted([*accepted, *edits])
        if edits and not any(_overlap(a, b) for a, b in pairwise(combined)):
            accepted, count = combined, count + 1
    for edit in reversed(accepted):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text, count


def _overlap(first: Edit, second: Edit) -> bool:
    """Return whether two edits change the same characters, or insert at the same offset."""
    return second.start < first.end or second[:2] == first[:2]


def _as_rename(text: str, root: Span, patch: Patch) -> Patch:
    """Return a `move` for a value that is removed and added under another name of one object."""
    if [step["op"] for step in patch] != ["remove", "add"]:
        return patch
    source, target = patch[0]["path"], patch[1]["path"]
    parent = _resolve(root, _split_pointer(source)[:-1])
    if source.rpartition("/")[0] != target.rpartition("/")[0] or parent.members is None:
        return patch
    value = _resolve(root, _split_pointer(source))
    if loads(text[value.start : value.end]) != patch[1]["value"]:
        return patch
    return [{"op": "move", "from": source, "path": target}]


def _edits_of(text: str, root: Span, step: dict[str, Any]) -> list[Edit]:
    """Return the edits of one operation.

    Raises:
        EditError: the operation is unsupported, or its test fails.

    """
    parts = _split_pointer(step["path"])
    match step["op"]:
        case "test":
            span = _resolve(root, parts)
            if loads(text[span.start : span.end]) != step["value"]:
                raise EditError("the value differs from the one tested for")
            return []
        case "replace":
            return _replace(text, _resolve(root, parts), step["value"])
        case "remove":
            return [_remove(_resolve(root, parts[:-1]), parts[-1])]
        case "add":
            return [_add(text, _resolve(root, parts[:-1]), parts[-1], step["value"])]
        case "move":
            source = _split_pointer(step["from"])
            return [_rename(_resolve(root, source[:-1]), source, parts)]
    raise EditError(f"unsupported operation {step['op']}")


def _split_pointer(pointer: str) -> list[str]:
    """Return the parts of a JSON Pointer.  https://www.rfc-editor.org/rfc/rfc6901"""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _resolve(span: Span, parts: Sequence[str]) -> Span:
    """Return the span at a path below a span.

    Raises:
        EditError: the path leads into a primitive value.

    """
    for part in parts:
        if span.members is not None:
            span = span.members[part]
        elif span.items is not None:
            span = span.items[_parse_index(span.items, part)]
        else:
            raise EditError("the path leads into a primitive value")
    return span


def _parse_index(items: Sequence[Span], part: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise EditError("no such item")
    return int(part)


def _replace(text: str, span: Span, value: Any) -> list[Edit]:
    """Return one edit, or two brackets if the value becomes a list that contains only itself."""
    if (
        isinstance(value, list)
        and len(value) == 1
        and loads(text[span.start : span.end]) == value[0]
    ):
        return [Edit(span.start, span.start, "["), Edit(span.end, span.end, "]")]
    return [_overwrite(text, span, value)]


def _overwrite(text: str, span: Span, value: Any) -> Edit:
    return Edit(span.start, span.end, _format_value(text, span.start, value))


def _children(span: Span) -> list[tuple[str, int, int]]:
    """Return name, start and end of each member, key included, or of each item."""
    if span.members is not None:
        return [(name, span.keys[name][0], child.end) for name, child in span.members.items()]
    return [(str(i), item.start, item.end) for i, item in enumerate(span.items or ())]


def _remove(parent: Span, name: str) -> Edit:
    """Remove a member or item with the comma after it; the last one with the comma before it.

    Raises:
        EditError: there is no such member.

    """
    children = _children(parent)
    index = next((i for i, child in enumerate(children) if child[0] == name), None)
    if index is None:
        raise EditError("no such member")
    _, start, end = children[index]
    if index + 1 < len(children):
        return Edit(start, children[index + 1][1], "")
    if index:
        return Edit(children[index - 1][2], end, "")
    return Edit(parent.start + 1, parent.end - 1, "")


def _add(text: str, parent: Span, name: str, value: Any) -> Edit:
    """Add a member, or insert an item before an index or at the end (`-`).

    Raises:
        EditError: the parent is a primitive value.

    """
    if parent.members is None and parent.items is None:
        raise EditError("nothing can be added to a primitive value")
    if parent.members is not None and name in parent.members:
        return _overwrite(text, parent.members[name], value)
    children = _children(parent)
    key = f"{json.dumps(name, ensure_ascii=False)}: " if parent.members is not None else ""
    if parent.items is not None and name != "-" and int(name) < len(children):
        start = children[int(name)][1]
        separator = _separator(text, children, parent)
        return Edit(start, start, f"{_format_value(text, start, value)},{separator}")
    if not children:
        inside = parent.start + 1
        return Edit(inside, parent.end - 1, f"{key}{_format_value(text, inside, value)}")
    last_start, last_end = children[-1][1:]
    separator = _separator(text, children, parent)
    formatted = _format_value(text, last_start, value)
    return Edit(last_end, last_end, f",{separator}{key}{formatted}")


def _separator(text: str, children: Sequence[tuple[str, int, int]], parent: Span) -> str:
    """Return the white space before the last member or item."""
    start = children[-1][1]
    before = children[-2][2] if len(children) > 1 else parent.start + 1
    return text[before:start].partition(",")[2] if len(children) > 1 else text[before:start]


def _rename(parent: Span, source: Sequence[str], target: Sequence[str]) -> Edit:
    """Replace the key of a member.

    Raises:
        EditError: the member would move, or its new name is used.

    """
    if source[:-1] != target[:-1] or parent.members is None or target[-1] in parent.members:
        raise EditError("a member can only be renamed to an unused name of the same object")
    start, end = parent.keys[source[-1]]
    return Edit(start, end, json.dumps(target[-1], ensure_ascii=False))


def _format_value(text: str, offset: int, value: Any) -> str:
    """Return a value as JSON, indented as the text is at an offset."""
    raw = dumps(value)
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    indent = line[: len(line) - len(line.lstrip())]
    if "\n" not in text.strip() or not isinstance(value, dict | list):
        return raw.decode()
    step = 4 if re.search(r"\n {4}\S", text) and not re.search(r"\n {1,3}\S", text) else 2
    formatted = msgspec.json.format(raw, indent=step).decode()
    return formatted.replace("\n", f"\n{indent}")
