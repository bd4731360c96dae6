"""Generation of snapshots from differentials.  https://hl7.org/fhir/R4/profiling.html#snapshot

A differential is merged into the snapshot of its base, element by element. If it changes children
that the base does not list, the children are first copied from the element's type, from the profile
on its type, or from the target of its content reference.

HL7's tools generate two kinds of snapshots. The default is that of HL7's current validator; the
other is that of the IG publisher, found in the guides of 2022 and 2023. The publisher's differ in
three points: `valueQuantity` for `value[x]` leaves the other types open, a profile on a type adds
the constraints of its root, and slices do not inherit changed children of the element they slice.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fhir_b12.definitions.element_rules import (
    NOT_INHERITED,
    add_missing,
    are_children_listed,
    canonicals_of_types,
    drop_binding,
    is_by_value,
    is_only_named,
    new_constraints,
    new_slice,
    without,
)
from fhir_b12.definitions.element_trees import (
    MAX_ELEMENTS,
    DifferentialElement,
    ElementNode,
    list_elements,
    parse_differential,
    parse_snapshot,
)
from fhir_b12.definitions.errors import DefinitionError

Json = dict[str, Any]
Resolver = Callable[[str], Json | None]  #: canonical -> StructureDefinition with its snapshot

TYPES = "http://hl7.org/fhir/StructureDefinition/"

_BY_TYPE = {
    "discriminator": [{"type": "type", "path": "$this"}],
    "ordered": False,
    "rules": "open",
}
_BY_URL = {
    "discriminator": [{"type": "value", "path": "url"}],
    "ordered": False,
    "rules": "open",
}
#: names that are merged one by one instead of being replaced
_SPECIAL = {"id", "path", "sliceName", "base", "constraint", "condition", "binding", "extension"}


class CircleError(DefinitionError):
    """Error for a definition that is needed to generate its own snapshot."""


def generate_snapshot(definition: Json, resolve: Resolver, *, publisher: bool = False) -> Json:
    """Return a copy of a profile with a snapshot generated from its differential.

    Args:
        definition: The StructureDefinition.
        resolve: Function that returns the StructureDefinition of a canonical url with its
            snapshot, None if it is unknown.
        publisher: Generate the snapshot that the IG publisher would generate.

    Returns:
        A copy of the definition with `snapshot`.

    Raises:
        DefinitionError: The definition is a new type or has no baseDefinition, its base is unknown
            or circular, or the differential does not match the base.

    """
    url = definition.get("url", "a definition without url")
    own = str(definition.get("baseDefinition", "")).rpartition("/")[2] != definition.get("type")
    if own and definition.get("derivation", "constraint") != "constraint":
        raise DefinitionError(f"{url}: snapshot is required for a new type: add it")
    canonical = definition.get("baseDefinition")
    if not isinstance(canonical, str):
        raise DefinitionError(f"{url}: snapshot and baseDefinition are missing: add one of them")
    try:
        base = resolve(canonical)
    except CircleError as error:
        raise DefinitionError(
            f"{url}: circular baseDefinition {canonical}: name a base that is not built on this"
        ) from error
    if base is None:
        raise DefinitionError(f"{url}: unknown baseDefinition {canonical}: add its package")
    generator = _SnapshotGenerator(url, base, resolve, publisher=publisher)
    elements: list[Json] = []
    for element in generator.list_elements(generator.merge_differential(definition)):
        if len(elements) >= MAX_ELEMENTS:
            raise DefinitionError(
                f"{url}: snapshot would have more than {MAX_ELEMENTS:,} elements (limit)"
            )
        elements.append(element)
    return definition | {"snapshot": {"element": elements}}


class _SnapshotGenerator:
    """Merger of one differential into the snapshot of its base."""

    def __init__(self, url: str, base: Json, resolve: Resolver, *, publisher: bool) -> None:
        self._url = url
        self._publisher = publisher
        self._resolve = resolve
        self._base = parse_snapshot(base)
        self._trees: dict[str, ElementNode | None] = {}

    def merge_differential(self, definition: Json) -> ElementNode:
        """Return the root of the snapshot's tree.

        Raises:
            DefinitionError: The differential does not match the base.

        """
        if definition.get("differential") in (None, {}, {"element": []}):
            return self._base
        change = parse_differential(definition)
        if change.name != self._base.name:
            raise self._error(
                change.path, f"must begin with {self._base.name}, the type of the base: correct it"
            )
        return self._merge_element(self._base, change, sliced=False)

    def list_elements(self, root: ElementNode) -> Iterator[Json]:
        """Yield the elements in order; content references get the url of their type."""
        for element in list_elements(root):
            reference = element.get("contentReference", "")
            if reference.startswith("#"):
                element["contentReference"] = f"{TYPES}{reference[1:].partition('.')[0]}{reference}"
            yield element

    def _error(self, path: str, reason: str) -> DefinitionError:
        return DefinitionError(f"{self._url}: differential: {path}: {reason}")

    # --- one element

    def _merge_element(
        self, base: ElementNode, change: DifferentialElement, *, sliced: bool
    ) -> ElementNode:
        """Merge one change; `sliced` is True within a slice of this differential."""
        element = base.element
        if change.element is not None:
            element = self._element(element, change.element)
        children = base.children
        if change.children:
            if not children:
                element, children = self._expand_children(element, change)
                sliced = False
            elif not are_children_listed(change, children):
                children = add_missing(children, self._children_of_type(element))
            children = self._merge_children(children, change, sliced=sliced)
        return ElementNode(
            base.name, element, slice_name=base.slice, children=children, slices=base.slices
        )

    def _element(self, base: Json, change: Json) -> Json:
        """Merge the ElementDefinition of a differential into that of the base."""
        origin = base.get("base") or {
            key: base[key] for key in ("path", "min", "max") if key in base
        }
        element = self._from_profile(base, change)
        for key, value in change.items():
            if key not in _SPECIAL:
                element[key] = value
        element["base"] = origin
        if "constraint" in change:
            have = element.get("constraint", [])
            element["constraint"] = [
                *have,
                *new_constraints(have, change["constraint"], self._url),
            ]
        if "condition" in change:
            element["condition"] = list(
                dict.fromkeys([*element.get("condition", ()), *change["condition"]])
            )
        if "binding" in change:
            element["binding"] = without(element.get("binding", {}), "extension", "description")
            element["binding"] |= change["binding"]
        if "extension" in change:
            element["extension"] = [*element.get("extension", ()), *change["extension"]]
        return drop_binding(element) if "type" in change else element

    def _from_profile(self, base: Json, change: Json) -> Json:
        """Return a copy of the element, first merged with the profile on its type if it has one."""
        types = change.get("type", ())
        profiles = types[0].get("profile", ()) if len(types) == 1 else ()
        if not profiles or not self._merges_profile(types[0]["code"]):
            return dict(base)
        root = self._tree(profiles[0])
        if root is None:
            return dict(base)
        own = without(root.element, "id", "path", "base", *NOT_INHERITED)
        own |= {key: True for key in ("isModifier", "isSummary") if base.get(key)}
        if types[0]["code"] != "Extension":
            own |= {key: base[key] for key in ("min", "max") if key in base}
        have = own.get("constraint", [])
        constraints = [*have, *new_constraints(have, base.get("constraint", ()), "")]
        return base | own | ({"constraint": constraints} if constraints else {})

    def _merges_profile(self, code: str) -> bool:
        return code == "Extension" or (self._publisher and code not in {"Reference", "canonical"})

    # --- children

    def _expand_children(
        self, element: Json, change: DifferentialElement
    ) -> tuple[Json, Sequence[ElementNode]]:
        """Return an element and the children of its type or content reference.

        Raises:
            DefinitionError: The children are unknown.

        """
        reference = element.get("contentReference", "")
        if reference:
            target = self._resolve_content_reference(reference)
            if target is None:
                raise self._error(
                    change.path, f"unknown contentReference {reference}: correct it in the base"
                )
            types = {"type": target.element["type"]} if "type" in target.element else {}
            return without(element, "contentReference") | types, target.children
        children = self._children_of_type(element)
        if not children:
            raise self._error(
                change.path, "child elements are unknown: add the package of its type or profile"
            )
        return element, children

    def _children_of_type(self, element: Json) -> Sequence[ElementNode]:
        """Return the children of an element's profile or type, () if unknown."""
        for canonical in canonicals_of_types(element):
            root = self._tree(canonical)
            if root is not None and root.children:
                return root.children
        return ()

    def _resolve_content_reference(self, reference: str) -> ElementNode | None:
        """Return the target of `#Observation.referenceRange` or `url#path`, None if unknown."""
        first, *rest = reference.rpartition("#")[2].split(".")
        node = self._base if first == self._base.name else self._tree(first)
        for name in rest:
            children = node.children if node else ()
            node = next((child for child in children if child.name == name), None)
        return node

    def _tree(self, canonical: str) -> ElementNode | None:
        """Return the snapshot of a type or profile; None if it is unknown or being generated."""
        if canonical not in self._trees:
            try:
                definition = self._resolve(canonical)
            except CircleError:
                definition = None
            self._trees[canonical] = None if definition is None else parse_snapshot(definition)
        return self._trees[canonical]

    def _merge_children(
        self, children: Sequence[ElementNode], change: DifferentialElement, *, sliced: bool
    ) -> list[ElementNode]:
        groups = self._group_changes(children, change, sliced=sliced)
        return [
            self._merge_slices(child, *groups[child.name], sliced=sliced)
            if child.name in groups
            else child
            for child in children
        ]

    def _group_changes(
        self, children: Sequence[ElementNode], change: DifferentialElement, *, sliced: bool
    ) -> dict[str, tuple[DifferentialElement | None, list[DifferentialElement]]]:
        """Group the changed children by name: the change of the element itself, and of its slices.

        Raises:
            DefinitionError: An element is changed twice, e.g. as `value[x]` and `valueQuantity`.

        """
        names = {child.name for child in children}
        choices = {child.name[:-3]: child for child in children if child.name.endswith("[x]")}
        groups: dict[str, tuple[DifferentialElement | None, list[DifferentialElement]]] = {}
        for (step, slice_name), listed in change.children.items():
            child, name, part = listed, step, slice_name
            if name not in names:
                child = self._slice_of_choice(listed, choices, alone=sliced)
                name, part = child.name, child.slice
            own, slices = groups.get(name, (None, []))
            if part:
                groups[name] = (own, [*slices, child])
            elif own is None:
                groups[name] = (child, slices)
            else:
                raise self._error(
                    listed.path, "changed twice, under two names: merge the two elements"
                )
        return groups

    def _slice_of_choice(
        self, change: DifferentialElement, choices: dict[str, ElementNode], *, alone: bool
    ) -> DifferentialElement:
        """Return `valueQuantity` as a slice of `value[x]`; within slices, as `value[x]` itself.

        Raises:
            DefinitionError: The base has no element of this name.

        """
        for stem, node in choices.items():
            rest = change.name.removeprefix(stem)
            for row in node.element.get("type", ()):
                code = row["code"]
                if rest != change.name and rest == code[:1].upper() + code[1:]:
                    slice_name = "" if alone else change.name
                    choice = DifferentialElement(node.name, slice_name, change.path)
                    choice.children = change.children
                    choice.element = {"type": [without(row, "extension")]} | (change.element or {})
                    choice.is_short = change.element is not None
                    choice.is_implied = change.element is None
                    return choice
        raise self._error(change.path, "not an element of the base: correct the path")

    # --- slices

    def _merge_slices(
        self,
        base: ElementNode,
        own: DifferentialElement | None,
        slices: Sequence[DifferentialElement],
        *,
        sliced: bool,
    ) -> ElementNode:
        """Merge the change of an element itself (`own`) and the changes of its slices."""
        node = base if own is None else self._merge_element(base, own, sliced=sliced)
        if not slices:
            return node
        if len(slices) == 1 and is_only_named(node, slices[0]):
            named = DifferentialElement(node.name, "", slices[0].path)
            named.element, named.children = slices[0].element, slices[0].children
            return self._merge_element(node, named, sliced=sliced)
        origin = node if not self._publisher else base
        merged = {part.slice: part for part in base.slices}
        inner: dict[str, list[DifferentialElement]] = {}
        outer = {*merged, *(change.slice for change in slices)}
        for change in slices:
            owner = change.slice.rpartition("/")[0]
            if owner in outer:
                inner.setdefault(owner, []).append(change)
                continue
            part = merged.get(change.slice) or new_slice(
                base, origin.children, change, alone=len(slices) == 1
            )
            merged[change.slice] = self._merge_element(part, change, sliced=True)
        for owner, changes in inner.items():
            merged[owner] = self._merge_slices(merged[owner], None, changes, sliced=True)
        parts = list(merged.values())
        element = self._add_slicing(node, parts, slices, own)
        return ElementNode(
            node.name, element, slice_name=node.slice, children=node.children, slices=parts
        )

    def _add_slicing(
        self,
        node: ElementNode,
        parts: Sequence[ElementNode],
        slices: Sequence[DifferentialElement],
        own: DifferentialElement | None,
    ) -> Json:
        """Return the sliced element with `slicing` and a `min` that its slices require.

        Raises:
            DefinitionError: Neither the base nor the differential has `slicing`.

        """
        if node.name.endswith("[x]") and not is_by_value(node.element):
            return self._slice_by_type(node, parts, slices, own)
        element = node.element
        if "slicing" not in element:
            if node.name not in {"extension", "modifierExtension"}:
                raise self._error(
                    slices[0].path, "slicing is missing: add slicing with a discriminator"
                )
            element = element | {"slicing": _BY_URL}
        if own is None and element.get("base", element).get("max") != "1":
            required = sum(part.element.get("min", 0) for part in parts)
            element = element | {"min": max(element.get("min", 0), required)}
        return element

    def _slice_by_type(
        self,
        node: ElementNode,
        parts: Sequence[ElementNode],
        slices: Sequence[DifferentialElement],
        own: DifferentialElement | None,
    ) -> Json:
        """Return a choice with `slicing` by type; closed if the slices exclude all other types.

        Other types are removed if the differential uses only short names (`valueQuantity`), and if
        a slice is required.
        """
        own_element = (own and own.element) or {}
        is_short = any(change.is_short for change in slices)
        is_of_extension = node.element.get("base", {}).get("path") == "Extension.value[x]"
        sliced_codes = {row["code"] for part in parts for row in part.element.get("type", ())}
        types = node.element.get("type", [])
        allowed = {row["code"] for row in types}
        minimum = node.element.get("min", 0)
        if is_short and "type" not in own_element and (is_of_extension or not self._publisher):
            allowed = sliced_codes
        required = {change.slice for change in slices if (change.element or {}).get("min")}
        if required and (is_short or "slicing" in own_element):
            rows = [part.element.get("type", ()) for part in parts if part.slice in required]
            allowed = {row["code"] for row in rows[-1]}
            minimum = max(minimum, 1)
        types = [row for row in types if row["code"] in allowed]
        is_closed = allowed <= sliced_codes or not (
            own_element
            or "slicing" in node.element
            or self._publisher
            or any(change.is_implied for change in slices)
        )
        slicing = _BY_TYPE | ({"rules": "closed"} if is_closed else {})
        return drop_binding(node.element | {"type": types, "min": minimum, "slicing": slicing})
