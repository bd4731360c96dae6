"""Compilation of discriminators: how the values of an element are assigned to its slices.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

import sys
from collections.abc import Sequence

from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.profiles.discriminators import SlicingError, compile_criterion
from fhir_b12.validation.profiles.element_rules import SliceRules, SlicingRules
from fhir_b12.validation.profiles.element_values import ConformsTo
from fhir_b12.validation.profiles.slice_examples import example_of
from fhir_b12.validation.profiles.snapshot_tree import SnapshotElement, Snapshots

Discriminators = Sequence[tuple[str, str]]  #: type and path of each


def add_slice_matching(
    slicing: SlicingRules,
    head: SnapshotElement,
    elements: Sequence[SnapshotElement],
    snapshots: Snapshots,
    conforms_to: ConformsTo,
) -> None:
    """Add to the rules of a slicing what identifies the values of each slice.

    Args:
        slicing: The rules, with those of each slice.
        head: The sliced element, which defines the discriminators.
        elements: The slices in the snapshot, in the order of `slicing.slices`.
        snapshots: The snapshots of the profiles that the slices refer to.
        conforms_to: Decides conformance for discriminators of type "profile".

    """
    discriminators = head.discriminators
    if not head.definition.get("slicing") and elements[0].name.endswith("[x]"):
        discriminators = [("type", "$this")]
    if [type_ for type_, _ in discriminators] == ["position"]:
        slicing.positions = _positions(slicing.slices)
    elif discriminators != [("value", "url")] or not _match_by_url(slicing, elements):
        _add_tests(slicing, elements, discriminators, snapshots, conforms_to)


def _positions(slices: Sequence[SliceRules]) -> list[range]:
    """Return the indices of each slice: it begins at the end of the slices before it."""
    positions, start = [], 0
    for slice_ in slices:
        max_ = slice_.rules.max
        positions.append(range(start, sys.maxsize if max_ is None else start + max_))
        if max_ != slice_.rules.min:
            break  # the start of the next slice is unknown
        start += slice_.rules.min
    return positions


def _match_by_url(slicing: SlicingRules, elements: Sequence[SnapshotElement]) -> bool:
    """Match extensions by url in one lookup; return False if a slice has no url."""
    by_url: dict[str, list[int]] = {}
    for index, element in enumerate(elements):
        fixed = (child.choice("fixed") for child in element.children if child.name == "url")
        url = next(fixed, None) or next(iter(element.profiles), None)
        if not isinstance(url, str):
            return False
        url = url.partition("|")[0]
        by_url.setdefault(url, []).append(index)
        slicing.slices[index].example = f"the extension {url}"
    slicing.match = lambda item, _: by_url.get(item.value.get("url"), [])
    return True


def _add_tests(
    slicing: SlicingRules,
    elements: Sequence[SnapshotElement],
    discriminators: Discriminators,
    snapshots: Snapshots,
    conforms_to: ConformsTo,
) -> None:
    """Add the tests that identify the values of each slice and of slices of slices."""
    pairs = zip(elements, slicing.slices, strict=True)
    by_name = {element.slice_name: (element, slice_) for element, slice_ in pairs}
    for element, slice_ in by_name.values():
        outer = by_name.get((element.slice_name or "").rpartition("/")[0])
        inner = outer[0].discriminators if outer else []
        _identify(slice_, element, inner or discriminators, snapshots, conforms_to)
        if outer and inner:  # a value of an inner slice must match the outer one too
            slice_.tests = [*outer[1].tests, *slice_.tests]
        if slice_.fault is not None and slicing.faulty is None:
            slicing.faulty = slice_


def _identify(
    slice_: SliceRules,
    element: SnapshotElement,
    discriminators: Discriminators,
    snapshots: Snapshots,
    conforms_to: ConformsTo,
) -> None:
    """Add the tests of one slice. Without a discriminator it matches no value."""
    try:
        tests = [
            compile_criterion(element, type_, path, snapshots, conforms_to)
            for type_, path in discriminators
        ]
        slice_.example = example_of(element, discriminators, snapshots) or slice_.example
    except (SlicingError, DefinitionError) as error:
        slice_.fault = str(error)
        return
    slice_.tests = [test for test in tests if test is not None]
    if not discriminators:
        slice_.tests = [lambda _item, _context: False]
    elif not slice_.tests:
        paths = ", ".join(path for _, path in discriminators)
        slice_.fault = f"the slice does not constrain the discriminator {paths}"
