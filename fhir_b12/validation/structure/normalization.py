"""Take apart what is badly shaped: say it, and give the rest in good shape.

This is the thorough walk for resources of which something is wrong. It removes what no later stage
could read (unknown elements, an object where a text belongs), puts right what can only mean one
thing (an object where a list of one belongs) and keeps all else, so that the later stages see each
element as its type has it.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.findings import Finding, Path
from fhir_b12.validation.structure.shapes import ELEMENT, Member, Shape, shape

_NOTHING = object()
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?\Z")
_SHORTEST = 5  #: letters of a name of which one may be wrong
_REMOVED = ({"op": "remove", "path": ""},)
_SIMPLE = (str, bool, int, float, Decimal)
_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, Decimal, float),
}


class Normalizer:
    """One walk: what was found, and which items of lists are left."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        #: path of a list in the result -> the indices its items had before
        self.renumbered: dict[Path, list[int]] = {}
        #: paths at which the text has one object, which is read as a list of it
        self.wrapped: set[Path] = set()

    def resource(self, node: Any, path: Path = ()) -> dict[str, Any] | None:
        """A resource in good shape; None where it is none that R4 knows."""
        if not isinstance(node, dict):
            self._add("no-resource", path, hint="")
            return None
        name = node.get("resourceType")
        if not (isinstance(name, str) and R4.is_resource(name)):
            near = R4.suggest(name) if isinstance(name, str) and name else None
            hint = f"; did you mean {near}?" if near and R4.is_resource(near) else ""
            self._add("no-resource", path, hint=hint)
            return None
        rest = {key: value for key, value in node.items() if key != "resourceType"}
        return {"resourceType": name} | self._object(rest, shape(name), path, name)

    def _add(
        self, rule: str, path: Path, *, fix: tuple[dict[str, Any], ...] = (), **values: Any
    ) -> None:
        self.found.append(Finding(rule, *path, fix=fix, **values))

    def _object(
        self, node: dict[str, Any], form: Shape, path: Path, type_name: str
    ) -> dict[str, Any]:
        made: dict[str, Any] = {}
        chosen = _chosen(node, form)
        broken: list[str] = []  # primitives whose companion is none: HL7's validator drops them too
        for key, value in node.items():
            name = str(key)  # a dict of Python may have keys of any kind
            member = form.members.get(name)
            here = (*path, name)
            bare = form.members.get(name[1:]) if name[:1] == "_" else None
            if member is None and bare is not None and bare.json:
                self._add("no-companion", (*path, name[1:]), name=name[1:65])
                continue
            if member is None:
                near = _near(form, name)
                self._add(
                    "unknown-element", here, type=type_name, name=name[:64], hint=_hint(near),
                    fix=_renamed(name, near, value, node, form),
                )  # fmt: skip
                continue
            stem = form.choices.get(name)
            if stem is not None:
                plain = member.companion_of or name
                if chosen[stem] != plain:
                    self._add("second-choice", here, stem=stem, first=chosen[stem])
                    continue
            kept = self._member(value, member, here)
            if kept is not _NOTHING:
                made[name] = kept
            elif member.companion_of and not member.many:
                broken.append(member.companion_of)
        for each in broken:
            made.pop(each, None)
        for name, member in form.members.items():
            owner = member.companion_of
            if owner and member.many and (name in made or owner in made):
                self._align(made, owner, path)
        return made

    def _member(self, value: Any, member: Member, path: Path) -> Any:
        if not member.many:
            return self._item(value, member, path)
        if not isinstance(value, list):
            if value is None:
                self._add("not-null", path, name=member.name, fix=_REMOVED)
                return _NOTHING
            self._add("not-list", path, name=member.name, fix=_replaced([value]))
            self.wrapped.add(path)
            value = [value]
            kept = self._item(value[0], member, path)
            return _NOTHING if kept is _NOTHING else [kept]
        if not value:
            self._add("empty-list", path, name=member.name, fix=_REMOVED)
            return _NOTHING
        return self._items(value, member, path)

    def _items(self, values: list[Any], member: Member, path: Path) -> Any:
        if member.json or member.companion_of:  # null holds a place
            kept = [
                None if each is None else self._item(each, member, (*path, index))
                for index, each in enumerate(values)
            ]
            return [None if each is _NOTHING else each for each in kept]
        made: list[Any] = []
        indices: list[int] = []
        for index, each in enumerate(values):
            item = self._item(each, member, (*path, len(made)), (*path, index))
            if item is not _NOTHING:
                made.append(item)
                indices.append(index)
        if len(made) < len(values):
            self.renumbered[path] = indices
        return made or _NOTHING

    def _item(self, value: Any, member: Member, path: Path, said: Path | None = None) -> Any:
        """One value in good shape; what is said of it stands at `said`."""
        said = path if said is None else said
        if value is None:
            self._add("not-null", said, name=member.name)
            return _NOTHING
        if member.json is not None:
            return self._primitive(value, member, said)
        if not isinstance(value, dict):
            self._add("not-object", said, name=member.name, found=_kind(value))
            return _NOTHING
        if not value:
            self._add("empty-object", said, name=member.name)
            return _NOTHING if member.is_resource else {}
        if member.is_resource:
            kept = self.resource(value, path)
            return _NOTHING if kept is None else kept
        key = ELEMENT if member.companion_of else member.key
        return self._object(value, shape(key), path, member.type)

    def _primitive(self, value: Any, member: Member, path: Path) -> Any:
        kind = member.json or "string"
        if not isinstance(value, _SIMPLE):
            self._add("not-simple", path, name=member.name, kind=kind, found=_kind(value))
            return _NOTHING
        classes = _CLASSES[kind]
        if isinstance(value, classes) and (kind == "boolean" or not isinstance(value, bool)):
            return value
        converted = _converted(value, kind)
        fix = _replaced(converted) if _is_same(value, converted) else ()
        self._add("wrong-kind", path, name=member.name, kind=kind, found=_kind(value), fix=fix)
        return converted

    def _align(self, made: dict[str, Any], name: str, path: Path) -> None:
        """Give a list of primitives and that of their companions one length, no null in both."""
        values, companions = made.get(name), made.get(f"_{name}")
        length = max(len(values or ()), len(companions or ()))
        values = [*(values or ()), *[None] * (length - len(values or ()))]
        companions = [*(companions or ()), *[None] * (length - len(companions or ()))]
        for index in range(length):
            if values[index] is None and companions[index] is None:
                self._add("null-alone", (*path, name), name=name, index=index)
        pairs = [pair for pair in zip(values, companions, strict=True) if pair != (None, None)]
        for key, side in ((name, 0), (f"_{name}", 1)):
            made.pop(key, None)
            if any(pair[side] is not None for pair in pairs):
                made[key] = [pair[side] for pair in pairs]


def _converted(value: Any, kind: str) -> Any:
    """The value as the kind it must mean, or nothing."""
    if kind == "string":
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "number" and isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return _NOTHING
        return number if number.is_finite() else _NOTHING
    return {"true": True, "false": False}.get(value, _NOTHING) if kind == "boolean" else _NOTHING


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "a boolean"
    return "a string" if isinstance(value, str) else "a number"


def _is_same(value: Any, converted: Any) -> bool:
    """Whether a value of the wrong kind can mean nothing else: "0.52" for 0.52, but not "1e3"."""
    if converted is _NOTHING or (isinstance(value, bool) and isinstance(converted, str)):
        return False
    return not isinstance(value, str) or isinstance(converted, bool) or bool(_NUMBER.match(value))


def _replaced(value: Any) -> tuple[dict[str, Any], ...]:
    return ({"op": "replace", "path": "", "value": value},)


def _renamed(
    name: str, near: str | None, value: Any, node: dict[str, Any], form: Shape
) -> tuple[dict[str, Any], ...]:
    """The right name for one that is a slip away from it, if it is free and the value fits."""
    right = (near or "").rpartition(".")[2]
    member = form.members.get(right)
    if member is None or right in node or not _is_slip(name, right):
        return ()
    if form.choices.get(right) in {form.choices.get(each) for each in node if each in form.choices}:
        return ()
    inner = value[0] if member.many and isinstance(value, list) and value else value
    fits = isinstance(inner, _SIMPLE) if member.json else isinstance(inner, dict)
    return ({"op": "move", "from": "", "path": f"../{right}"},) if fits else ()


def _is_slip(name: str, right: str) -> bool:
    """One letter more, less or other, two that changed places, or another case."""
    if name.lower() == right.lower():
        return True
    if abs(len(name) - len(right)) > 1 or len(right) < _SHORTEST:
        return False
    pairs = enumerate(zip(name, right, strict=False))
    same = next((index for index, (a, b) in pairs if a != b), min(len(name), len(right)))
    rest, other = name[same:], right[same:]
    swapped = rest[1::-1] + rest[2:]
    return other in {rest[1:], swapped} or other[1:] in {rest, rest[1:]}


def _near(form: Shape, name: str) -> str | None:
    return R4.suggest(f"{form.key}.{name[:64]}")


def _hint(near: str | None) -> str:
    if near is None:
        return "; take it out or carry it in an extension"
    last = near.rpartition(".")[2]
    if last.endswith("[x]"):
        return f"; write {last.removesuffix('[x]')} and its type"
    return f"; did you mean {last}?"


def _chosen(node: dict[str, Any], form: Shape) -> dict[str, str]:
    """The spelling of each choice that is read: the one that comes first."""
    chosen: dict[str, str] = {}
    for name in node:
        stem = form.choices.get(name)
        if stem is not None:
            chosen.setdefault(stem, form.members[name].companion_of or name)
    return chosen
