"""Tell which slice of a list an item belongs to.  https://hl7.org/fhir/R4/profiling.html#slicing

A discriminator names a place below the item; a slice says what stands there. `criterion` reads what
a slice says into a test of the item; where a slice says nothing that discriminates, it is the
profile that is at fault.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.profiles.fixed_values import matcher
from fhir_b12.validation.profiles.snapshot_tree import Raw, Snapshots, Step

Test = Callable[["Item", ResourceContext], bool]
Judge = Callable[["Item", str, ResourceContext], bool]  #: whether an item conforms to a profile

_STEP = re.compile(
    r"\s*(?:(\$this)|resolve\(\s*\)()|extension\(\s*['\"]([^'\"]*)['\"]\s*\)"
    r"|ofType\(\s*(?:FHIR\.)?`?(\w+)`?\s*\)|\(?(\w+)(?:\s+as\s+(\w+)\))?)\s*(?:\.|$)"
)


class Item(NamedTuple):
    """A value with its companion and its type.

    The type is that of R4, or of what has none the place: `Observation.component`.
    """

    value: Any
    companion: Any
    kind: str
    context: ResourceContext | None = None  #: of a resource that was reached by a reference


class SlicingError(Exception):
    """A slice that nothing tells from the others; the message says why."""


def steps(path: str) -> tuple[Step, ...]:
    """The steps of a discriminator's path, the restricted FHIRPath of R4.

    https://hl7.org/fhir/R4/profiling.html#discriminator

    Raises:
        SlicingError: the path has something else.

    """
    found: list[Step] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or step.end() == position:
            raise SlicingError(f"the discriminator '{path}' is not a path that R4 permits")
        this, resolve, url, kind, name, cast = step.groups()
        if resolve is not None:
            found.append(Step("resolve"))
        elif url is not None:
            found.append(Step("extension", url))
        elif kind is not None:
            found.append(Step("type", kind))
        elif this is None:
            found.append(Step("name", name))
            if cast:
                found.append(Step("type", cast))
        position = step.end()
    return tuple(found)


# --- what an instance has at a path


def walk(item: Item, path: tuple[Step, ...], context: ResourceContext) -> Iterable[Item]:
    """What stands at a discriminator's path below an item."""
    here: Iterable[Item] = (item,)
    for step in path:
        here = [below for each in here for below in _below(each, step, each.context or context)]
    return here


def _below(item: Item, step: Step, context: ResourceContext) -> Iterator[Item]:
    value = item.value
    if step.what == "type":
        if _is_a(item, step.name):
            yield item
    elif step.what == "extension":
        for holder in (value, item.companion):
            if isinstance(holder, dict):
                for each in holder.get("extension", ()):
                    if isinstance(each, dict) and each.get("url") == step.name:
                        yield Item(each, None, "Extension", item.context)
    elif step.what == "resolve":
        reference = value.get("reference") if isinstance(value, dict) else value
        target = context.resolve(reference) if isinstance(reference, str) else None
        if target is not None:
            yield Item(target.resource, None, target.type, target)
    elif isinstance(value, dict):
        yield from _children(item, step.name)
    elif step.name == "value" and value is not None:  # the value of a primitive
        yield item
    elif isinstance(item.companion, dict):
        yield from _children(Item(item.companion, None, "Element", item.context), step.name)


def _children(item: Item, name: str) -> Iterator[Item]:
    value: dict[str, Any] = item.value
    kind = value.get("resourceType", item.kind)
    keys = [(name, f"{kind}.{name}")]
    if name not in value and f"_{name}" not in value:
        keys = [
            (key, f"{kind}.{key}")
            for key in R4.children(kind)
            if key.startswith(name) and key[len(name) : len(name) + 1].isupper()
            if key in value or f"_{key}" in value
        ]
    for key, path in keys:
        inner = inner_type(path)
        for each, companion in pairs(value.get(key), value.get(f"_{key}")):
            yield Item(each, companion, inner, item.context)


def inner_type(path: str) -> str:
    """The type of what stands at a path, the path itself where its parts are defined there."""
    element = R4.element(path)
    if element is None:
        return "Element"
    if element.content:
        return element.content
    kind = element.types[0] if element.types else "Element"
    return path if kind in {"BackboneElement", "Element"} else kind


def pairs(value: Any, companion: Any) -> Iterator[tuple[Any, Any]]:
    """The items of an element, each with its companion; one where it is no list."""
    if isinstance(value, list) or isinstance(companion, list):
        values = value if isinstance(value, list) else []
        companions = companion if isinstance(companion, list) else []
        for index in range(max(len(values), len(companions))):
            yield (
                values[index] if index < len(values) else None,
                companions[index] if index < len(companions) else None,
            )
    elif value is not None or companion is not None:
        yield value, companion


def _is_a(item: Item, name: str) -> bool:
    kind: str | None = item.kind.rpartition(".")[2] if "." not in item.kind else "BackboneElement"
    if isinstance(item.value, dict) and "resourceType" in item.value:
        kind = item.value["resourceType"]
    while kind is not None:
        if kind == name:
            return True
        kind = R4.base(kind)
    return False


# --- what a slice says of a path


def criterion(slice_: Raw, kind: str, path: str, snapshots: Snapshots, judge: Judge) -> Test | None:
    """The test that a slice's definition gives for one discriminator; None where it gives none.

    Raises:
        SlicingError: the discriminator or the slice cannot be read.

    """
    way = steps(path)
    if kind == "profile" and way and way[-1].what == "resolve":
        return _of_profile(snapshots.at(slice_, way[:-1]), way, judge, targets=True)
    if kind == "type" and way and way[-1].what == "resolve":
        return _of_target_type(snapshots.at(slice_, way[:-1]), way, snapshots)
    places = snapshots.at(slice_, way)
    if kind == "type":
        return _of_type(places, way)
    if kind == "profile":
        return _of_profile(places, way, judge, targets=False)
    if kind == "exists":
        return _of_existence(places, way, path)
    if kind not in {"value", "pattern"}:
        raise SlicingError(f"the discriminator type '{kind}' is not one of R4")
    return _of_value(places, way)


def _of_value(places: list[Raw], way: tuple[Step, ...]) -> Test | None:
    for place in places:
        if place.facts.get("max") == "0":
            return lambda item, context: not any(True for _ in walk(item, way, context))
        wanted = place.choice("fixed")
        if wanted is None:
            wanted = place.choice("pattern")
        if wanted is not None:
            return _equal(way, wanted)
        binding = place.facts.get("binding", {})
        if binding.get("strength") == "required" and binding.get("valueSet"):
            return _member(way, binding["valueSet"])
    return None


def _equal(way: tuple[Step, ...], wanted: Any) -> Test:
    match = matcher(wanted)
    if not way:
        return lambda item, _: match(item.value) is True
    if len(way) == 1 and way[0].what == "name":
        name = way[0].name

        def one(item: Item, context: ResourceContext) -> bool:
            value = item.value.get(name) if isinstance(item.value, dict) else None
            if value is not None and not isinstance(value, list):
                return match(value) is True
            return any(match(each.value) is True for each in walk(item, way, context))

        return one
    return lambda item, context: any(match(each.value) is True for each in walk(item, way, context))


def _member(way: tuple[Step, ...], value_set: str) -> Test:
    def test(item: Item, context: ResourceContext) -> bool:
        contains_any = context.validator.terminology.contains_any
        return any(contains_any(value_set, each.value) is True for each in walk(item, way, context))

    return test


def _of_type(places: list[Raw], way: tuple[Step, ...]) -> Test | None:
    names = {name for place in places for name in place.types}
    names |= {place.name for place in places if not place.types and place.parent is None}
    if not names:
        return None
    return lambda item, context: any(
        _is_a(each, name) for each in walk(item, way, context) for name in names
    )


def _of_target_type(places: list[Raw], way: tuple[Step, ...], snapshots: Snapshots) -> Test | None:
    names = {kind for place in places for url in place.targets if (kind := snapshots.type_of(url))}
    if not names:
        return None
    return lambda item, context: any(
        _is_a(each, name) for each in walk(item, way, context) for name in names
    )


def _of_profile(
    places: list[Raw], way: tuple[Step, ...], judge: Judge, *, targets: bool
) -> Test | None:
    if not places:
        return None
    urls = [url for place in places for url in (place.targets if targets else place.profiles)]
    if not urls:
        return lambda _item, _context: True

    def test(item: Item, context: ResourceContext) -> bool:
        return any(
            judge(each, url, each.context or context)
            for each in walk(item, way, context)
            for url in urls
        )

    return test


def _of_existence(places: list[Raw], way: tuple[Step, ...], path: str) -> Test | None:
    for place in places:
        if place.facts.get("min", 0) >= 1:
            return lambda item, context: any(True for _ in walk(item, way, context))
        if place.facts.get("max") == "0":
            return lambda item, context: not any(True for _ in walk(item, way, context))
        raise SlicingError(f"the slice says neither that '{path}' must be nor that it must not")
    return None
