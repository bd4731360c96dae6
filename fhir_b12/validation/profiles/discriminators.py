"""Membership of values in slices.  https://hl7.org/fhir/R4/profiling.html#discriminator

A discriminator names an element below the sliced one; a slice constrains it. `compile_criterion`
turns the constraint into a test of a value. A slice that does not constrain the element is a fault
of the profile.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.profiles.element_values import (
    ConformsTo,
    ElementValue,
    SliceTest,
    pair_companions,
)
from fhir_b12.validation.profiles.fixed_values import compile_pattern
from fhir_b12.validation.profiles.r4_types import content_type, is_subtype
from fhir_b12.validation.profiles.snapshot_tree import (
    DiscriminatorStep,
    SnapshotElement,
    Snapshots,
)

_STEP = re.compile(
    r"\s*(?:(\$this)|resolve\(\s*\)()|extension\(\s*['\"]([^'\"]*)['\"]\s*\)"
    r"|ofType\(\s*(?:FHIR\.)?`?(\w+)`?\s*\)|\(?(\w+)(?:\s+as\s+(\w+)\))?)\s*(?:\.|$)"
)


class SlicingError(Exception):
    """A slice whose values cannot be identified; the message says why."""


def parse_path(path: str) -> tuple[DiscriminatorStep, ...]:
    """Return the steps of a discriminator's path, which is restricted FHIRPath.

    https://hl7.org/fhir/R4/profiling.html#discriminator

    Raises:
        SlicingError: R4 does not allow the path.

    """
    steps: list[DiscriminatorStep] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or match.end() == position:
            raise SlicingError(f"the discriminator '{path}' is not a path that R4 allows")
        this, resolve, url, of_type, name, cast = match.groups()
        if resolve is not None:
            steps.append(DiscriminatorStep("resolve"))
        elif url is not None:
            steps.append(DiscriminatorStep("extension", url))
        elif of_type is not None:
            steps.append(DiscriminatorStep("type", of_type))
        elif this is None:
            steps.append(DiscriminatorStep("name", name))
            if cast:
                steps.append(DiscriminatorStep("type", cast))
        position = match.end()
    return tuple(steps)


# --- values in an instance


def values_at(
    start: ElementValue, path: tuple[DiscriminatorStep, ...], context: ResourceContext
) -> Iterable[ElementValue]:
    """Return the values at a discriminator's path below a value."""
    values: Iterable[ElementValue] = (start,)
    for step in path:
        values = [
            below for value in values for below in _below(value, step, value.context or context)
        ]
    return values


def _below(
    item: ElementValue, step: DiscriminatorStep, context: ResourceContext
) -> Iterator[ElementValue]:
    value = item.value
    if step.what == "type":
        if _is_of_type(item, step.name):
            yield item
    elif step.what == "extension":
        for owner in (value, item.companion):
            if isinstance(owner, dict):
                for extension in owner.get("extension", ()):
                    if isinstance(extension, dict) and extension.get("url") == step.name:
                        yield ElementValue(extension, None, "Extension", item.context)
    elif step.what == "resolve":
        reference = value.get("reference") if isinstance(value, dict) else value
        target = context.resolve(reference) if isinstance(reference, str) else None
        if target is not None:
            yield ElementValue(target.resource, None, target.type, target)
    elif isinstance(value, dict):
        yield from _children(item, step.name)
    elif step.name == "value" and value is not None:  # the value of a primitive
        yield item
    elif isinstance(item.companion, dict):
        companion = ElementValue(item.companion, None, "Element", item.context)
        yield from _children(companion, step.name)


def _children(item: ElementValue, name: str) -> Iterator[ElementValue]:
    value: dict[str, Any] = item.value
    parent_type = value.get("resourceType", item.type)
    keys = [(name, f"{parent_type}.{name}")]
    if name not in value and f"_{name}" not in value:
        keys = [
            (key, f"{parent_type}.{key}")
            for key in R4.children(parent_type)
            if key.startswith(name) and key[len(name) : len(name) + 1].isupper()
            if key in value or f"_{key}" in value
        ]
    for key, path in keys:
        child_type = content_type(path)
        for child, companion in pair_companions(value.get(key), value.get(f"_{key}")):
            yield ElementValue(child, companion, child_type, item.context)


def _is_of_type(item: ElementValue, type_name: str) -> bool:
    """Return True if a value is of a type or of one derived from it."""
    own_type = item.type if "." not in item.type else "BackboneElement"
    if isinstance(item.value, dict) and "resourceType" in item.value:
        own_type = item.value["resourceType"]
    return is_subtype(own_type, type_name)


# --- constraints of a slice


def compile_criterion(
    slice_: SnapshotElement,
    discriminator_type: str,
    path: str,
    snapshots: Snapshots,
    conforms_to: ConformsTo,
) -> SliceTest | None:
    """Return the test that a slice gives for one discriminator, None if it gives none.

    Args:
        slice_: The slice in the snapshot.
        discriminator_type: "value", "pattern", "type", "profile" or "exists".
        path: Path of the discriminator: "code.coding".
        snapshots: The snapshots of the profiles that the slice refers to.
        conforms_to: Decides conformance for discriminators of type "profile".

    Raises:
        SlicingError: The discriminator is invalid, or the slice does not say what it needs.

    """
    steps = parse_path(path)
    if discriminator_type == "profile" and steps and steps[-1].what == "resolve":
        references = snapshots.elements_at(slice_, steps[:-1])
        return _profile_test(references, steps, conforms_to, targets=True)
    if discriminator_type == "type" and steps and steps[-1].what == "resolve":
        return _target_type_test(snapshots.elements_at(slice_, steps[:-1]), steps, snapshots)
    elements = snapshots.elements_at(slice_, steps)
    if discriminator_type == "type":
        return _type_test(elements, steps)
    if discriminator_type == "profile":
        return _profile_test(elements, steps, conforms_to, targets=False)
    if discriminator_type == "exists":
        return _existence_test(elements, steps, path)
    if discriminator_type not in {"value", "pattern"}:
        raise SlicingError(f"R4 has no discriminator type '{discriminator_type}'")
    return _value_test(elements, steps)


def _value_test(
    elements: list[SnapshotElement], steps: tuple[DiscriminatorStep, ...]
) -> SliceTest | None:
    for element in elements:
        if element.max == 0:
            return lambda item, context: not any(True for _ in values_at(item, steps, context))
        expected = element.choice("fixed")
        if expected is None:
            expected = element.choice("pattern")
        if expected is not None:
            return _pattern_test(steps, expected)
        binding = element.binding
        if binding is not None and binding.strength == "required":
            return _value_set_test(steps, binding.value_set)
    return None


def _pattern_test(steps: tuple[DiscriminatorStep, ...], expected: Any) -> SliceTest:
    matches = compile_pattern(expected)
    if not steps:
        return lambda item, _: matches(item.value) is True
    if len(steps) == 1 and steps[0].what == "name":
        name = steps[0].name

        def matches_child(item: ElementValue, context: ResourceContext) -> bool:
            value = item.value.get(name) if isinstance(item.value, dict) else None
            if value is not None and not isinstance(value, list):
                return matches(value) is True
            return any(matches(child.value) is True for child in values_at(item, steps, context))

        return matches_child
    return lambda item, context: any(
        matches(below.value) is True for below in values_at(item, steps, context)
    )


def _value_set_test(steps: tuple[DiscriminatorStep, ...], value_set: str) -> SliceTest:
    def test(item: ElementValue, context: ResourceContext) -> bool:
        contains_any = context.validator.terminology.contains_any
        return any(
            contains_any(value_set, below.value) is True
            for below in values_at(item, steps, context)
        )

    return test


def _type_test(
    elements: list[SnapshotElement], steps: tuple[DiscriminatorStep, ...]
) -> SliceTest | None:
    names = {name for element in elements for name in element.types}
    names |= {element.name for element in elements if not element.types and element.parent is None}
    return _any_type_test(names, steps)


def _target_type_test(
    elements: list[SnapshotElement], steps: tuple[DiscriminatorStep, ...], snapshots: Snapshots
) -> SliceTest | None:
    names = {
        name for element in elements for url in element.targets if (name := snapshots.type_of(url))
    }
    return _any_type_test(names, steps)


def _any_type_test(names: set[str], steps: tuple[DiscriminatorStep, ...]) -> SliceTest | None:
    if not names:
        return None
    return lambda item, context: any(
        _is_of_type(below, name) for below in values_at(item, steps, context) for name in names
    )


def _profile_test(
    elements: list[SnapshotElement],
    steps: tuple[DiscriminatorStep, ...],
    conforms_to: ConformsTo,
    *,
    targets: bool,
) -> SliceTest | None:
    if not elements:
        return None
    urls = [
        url for element in elements for url in (element.targets if targets else element.profiles)
    ]
    if not urls:
        return lambda _item, _context: True

    def test(item: ElementValue, context: ResourceContext) -> bool:
        return any(
            conforms_to(below, url, below.context or context)
            for below in values_at(item, steps, context)
            for url in urls
        )

    return test


def _existence_test(
    elements: list[SnapshotElement], steps: tuple[DiscriminatorStep, ...], path: str
) -> SliceTest | None:
    """Return the test of an "exists" discriminator.

    Raises:
        SlicingError: The slice neither requires nor forbids the element.

    """
    for element in elements:
        if element.min >= 1:
            return lambda item, context: any(True for _ in values_at(item, steps, context))
        if element.max == 0:
            return lambda item, context: not any(True for _ in values_at(item, steps, context))
        raise SlicingError(f"the slice neither requires nor forbids '{path}'")
    return None
