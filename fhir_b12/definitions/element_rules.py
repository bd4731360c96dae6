"""Rules for single elements that snapshot generation applies.  https://hl7.org/fhir/R4/profiling.html#snapshot"""

from collections.abc import Iterable, Sequence

from fhir_b12.definitions.element_trees import DifferentialElement, ElementNode, Json

#: types to which a value set can be bound
_CODED_TYPES = {"code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "Duration", "Age"}
#: names that a slice does not inherit from the element it slices
NOT_INHERITED = {"slicing", "sliceName", "sliceIsConstraining"}


def canonicals_of_types(element: Json) -> list[str]:
    """Return the canonicals that define an element's children: its profile, then its type."""
    types = element.get("type", ())
    codes = {row["code"] for row in types}
    if len(codes) != 1:
        return ["Element"] if codes else []
    profiles = types[0].get("profile", ())[:1] if len(types) == 1 else ()
    return [*profiles, *codes]


def are_children_listed(change: DifferentialElement, children: Sequence[ElementNode]) -> bool:
    """Return True if all changed children of an element are among these."""
    names = {child.name for child in children}
    stems = tuple(name[:-3] for name in names if name.endswith("[x]"))
    return all(name in names or name.startswith(stems) for name, _ in change.children)


def add_missing(
    children: Sequence[ElementNode], of_type: Sequence[ElementNode]
) -> list[ElementNode]:
    """Return the children of an element, and those of its type that it does not list."""
    by_name = {child.name: child for child in children}
    return [by_name.pop(child.name, child) for child in of_type] + list(by_name.values())


def new_slice(
    base: ElementNode, children: Sequence[ElementNode], change: DifferentialElement, *, alone: bool
) -> ElementNode:
    """Return an unchanged slice: a copy of the sliced element with `min` 0.

    The only slice of a choice keeps the `min` of the choice.
    """
    element = without(base.element, *NOT_INHERITED)
    if not (alone and base.name.endswith("[x]")):
        element["min"] = 0
    return ElementNode(base.name, element, slice_name=change.slice, children=children)


def is_only_named(node: ElementNode, change: DifferentialElement) -> bool:
    """Return True for a sliceName on an element that is not sliced."""
    return not (
        node.slices
        or "slicing" in node.element
        or node.name.endswith("[x]")
        or node.name in {"extension", "modifierExtension"}
        or "/" in change.slice
    )


def is_by_value(element: Json) -> bool:
    """Return True for a choice that has a discriminator other than its type."""
    discriminators = element.get("slicing", {}).get("discriminator", ())
    return any(row["type"] != "type" or row["path"] != "$this" for row in discriminators)


def drop_binding(element: Json) -> Json:
    """Remove the binding if none of the element's types is coded."""
    if "binding" in element and not any(
        row["code"] in _CODED_TYPES for row in element.get("type", ())
    ):
        return without(element, "binding")
    return element


def new_constraints(have: Iterable[Json], constraints: Iterable[Json], source: str) -> list[Json]:
    """Return the constraints whose keys are new, with the url of their definition as `source`."""
    keys = {constraint["key"] for constraint in have}
    origin = {"source": source} if source else {}
    return [origin | constraint for constraint in constraints if constraint["key"] not in keys]


def without(element: Json, *names: str) -> Json:
    """Return a copy of an element without these names."""
    return {key: value for key, value in element.items() if key not in names}
