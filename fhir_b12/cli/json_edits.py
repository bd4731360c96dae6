"""Apply a JSON Patch to a JSON text, so that all the rest of it stays as it was written.

https://www.rfc-editor.org/rfc/rfc6902: add, replace, remove, test, and move to another name in the
same object. White space, the order of keys and the digits of numbers are kept.
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
    """Put `text` in the place of what stands from `start` to `end`."""

    start: int
    end: int
    text: str


class EditError(ValueError):
    """A patch that this text has no place for."""


class Span:
    """Where a value stands in the text, and its members or items."""

    __slots__ = ("end", "items", "keys", "members", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.members: dict[str, Span] | None = None
        self.keys: dict[str, tuple[int, int]] = {}  #: where each key stands
        self.items: list[Span] | None = None


def read(text: str) -> Span:
    """The spans of all values of a JSON text that is known to be right."""
    return _read(text, _skip(text, 0), 0)


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # may be empty


def _read(text: str, at: int, depth: int) -> Span:
    if depth > MAX_DEPTH:
        raise EditError("nested too deeply")
    span = Span(at)
    opener = text[at : at + 1]
    if opener not in {"{", "["}:
        match = (_STRING if opener == '"' else _SCALAR).match(text, at)
        if match is None:
            raise EditError("no JSON")
        span.end = match.end()
        return span
    closer = "}" if opener == "{" else "]"
    span.members, span.items = ({}, None) if opener == "{" else (None, [])
    at = _skip(text, at + 1)
    while text[at : at + 1] != closer:
        if span.members is not None:
            at = _member(text, at, depth, span)
        else:
            assert span.items is not None
            span.items.append(_read(text, at, depth + 1))
            at = span.items[-1].end
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != closer:
            raise EditError("no JSON")
    span.end = at + 1
    return span


def _member(text: str, at: int, depth: int, span: Span) -> int:
    key = _STRING.match(text, at)
    if key is None:
        raise EditError("no JSON")
    name = json.loads(key[0])
    colon = _skip(text, key.end())
    value = _read(text, _skip(text, colon + 1), depth + 1)
    assert span.members is not None
    span.keys[name] = key.span()
    span.members[name] = value
    return value.end


def apply(text: str, patches: Iterable[Patch]) -> tuple[str, int]:
    """The text with the patches that have a place in it, and how many those are.

    All speak of the text as it is. Of two that touch the same place the first is taken.
    """
    root = read(text)
    taken: list[Edit] = []
    count = 0
    for patch in patches:
        try:
            steps = _as_move(text, root, patch)
            edits = [edit for step in steps for edit in _edits(text, root, step)]
        except (EditError, KeyError, TypeError):
            continue
        whole = sorted([*taken, *edits])
        if edits and not any(_clash(a, b) for a, b in pairwise(whole)):
            taken, count = whole, count + 1
    for edit in reversed(taken):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text, count


def _clash(first: Edit, second: Edit) -> bool:
    """True where two edits touch the same characters, or insert at the same place."""
    return second.start < first.end or second[:2] == first[:2]


def _as_move(text: str, root: Span, patch: Patch) -> Patch:
    """A value that is removed here and added there in the same object only changes its name."""
    if [step["op"] for step in patch] != ["remove", "add"]:
        return patch
    source, target = patch[0]["path"], patch[1]["path"]
    parent = _at(root, _parts(source)[:-1])
    if source.rpartition("/")[0] != target.rpartition("/")[0] or parent.members is None:
        return patch
    held = _at(root, _parts(source))
    if loads(text[held.start : held.end]) != patch[1]["value"]:
        return patch
    return [{"op": "move", "from": source, "path": target}]


def _edits(text: str, root: Span, step: dict[str, Any]) -> list[Edit]:
    """What one operation changes."""
    parts = _parts(step["path"])
    match step["op"]:
        case "test":
            found = _at(root, parts)
            if loads(text[found.start : found.end]) != step["value"]:
                raise EditError("the text is another")
            return []
        case "replace":
            return _replacing(text, _at(root, parts), step["value"])
        case "remove":
            return [_removed(_at(root, parts[:-1]), parts[-1])]
        case "add":
            return [_added(text, _at(root, parts[:-1]), parts[-1], step["value"])]
        case "move":
            source = _parts(step["from"])
            return [_renamed(_at(root, source[:-1]), source, parts)]
    raise EditError(f"no operation of these: {step['op']}")


def _parts(pointer: str) -> list[str]:
    """https://www.rfc-editor.org/rfc/rfc6901"""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _at(span: Span, parts: Sequence[str]) -> Span:
    for part in parts:
        if span.members is not None:
            span = span.members[part]
        elif span.items is not None:
            span = span.items[_index(span.items, part)]
        else:
            raise EditError("nothing stands below a value")
    return span


def _index(items: Sequence[Span], part: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise EditError("no such item")
    return int(part)


def _replacing(text: str, span: Span, value: Any) -> list[Edit]:
    """One edit, or the two brackets where a value becomes a list of itself."""
    if (
        isinstance(value, list)
        and len(value) == 1
        and loads(text[span.start : span.end]) == value[0]
    ):
        return [Edit(span.start, span.start, "["), Edit(span.end, span.end, "]")]
    return [_replaced(text, span, value)]


def _replaced(text: str, span: Span, value: Any) -> Edit:
    return Edit(span.start, span.end, _written(text, span.start, value))


def _starts(span: Span) -> list[tuple[str, int, int]]:
    """Name, start and end of each member with its key, or of each item."""
    if span.members is not None:
        return [(name, span.keys[name][0], each.end) for name, each in span.members.items()]
    return [(str(i), each.start, each.end) for i, each in enumerate(span.items or ())]


def _removed(parent: Span, name: str) -> Edit:
    """A member or an item goes with its comma; the last leaves with the comma before it."""
    every = _starts(parent)
    place = next((i for i, each in enumerate(every) if each[0] == name), None)
    if place is None:
        raise EditError("no such member")
    _, start, end = every[place]
    if place + 1 < len(every):
        return Edit(start, every[place + 1][1], "")
    if place:
        return Edit(every[place - 1][2], end, "")
    return Edit(parent.start + 1, parent.end - 1, "")


def _added(text: str, parent: Span, name: str, value: Any) -> Edit:
    if parent.members is None and parent.items is None:
        raise EditError("nothing can be added to a value")
    if parent.members is not None and name in parent.members:
        return _replaced(text, parent.members[name], value)
    every = _starts(parent)
    key = f"{json.dumps(name, ensure_ascii=False)}: " if parent.members is not None else ""
    if parent.items is not None and name != "-" and int(name) < len(every):
        start = every[int(name)][1]
        gap = _gap(text, every, parent)
        return Edit(start, start, f"{_written(text, start, value)},{gap}")
    if not every:
        inside = parent.start + 1
        return Edit(inside, parent.end - 1, f"{key}{_written(text, inside, value)}")
    last_start, last_end = every[-1][1:]
    gap = _gap(text, every, parent)
    return Edit(last_end, last_end, f",{gap}{key}{_written(text, last_start, value)}")


def _gap(text: str, every: Sequence[tuple[str, int, int]], parent: Span) -> str:
    """The white space before the members of an object, or the items of a list."""
    start = every[-1][1]
    before = every[-2][2] if len(every) > 1 else parent.start + 1
    return text[before:start].partition(",")[2] if len(every) > 1 else text[before:start]


def _renamed(parent: Span, source: Sequence[str], target: Sequence[str]) -> Edit:
    """A new key for a member, where it stands."""
    if source[:-1] != target[:-1] or parent.members is None or target[-1] in parent.members:
        raise EditError("a member can only be given a name that is free")
    start, end = parent.keys[source[-1]]
    return Edit(start, end, json.dumps(target[-1], ensure_ascii=False))


def _written(text: str, at: int, value: Any) -> str:
    """A value as JSON, indented as the text is at that place."""
    raw = dumps(value)
    line = text[text.rfind("\n", 0, at) + 1 : at]
    indent = line[: len(line) - len(line.lstrip())]
    if "\n" not in text.strip() or not isinstance(value, dict | list):
        return raw.decode()
    step = 4 if re.search(r"\n {4}\S", text) and not re.search(r"\n {1,3}\S", text) else 2
    written = msgspec.json.format(raw, indent=step).decode()
    return written.replace("\n", f"\n{indent}")
