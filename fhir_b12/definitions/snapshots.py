"""Snapshots from differentials.  https://hl7.org/fhir/R4/profiling.html#snapshot

A differential is laid over the snapshot of what it constrains, element by element. Where it speaks
of what stands below an element, the element is first spelled out: as its type has it, or the
profile on its type, or what its content reference repeats.

HL7's own tools make two kinds of snapshots. We make those of its validator of today, unless those
of the publisher are asked for, which the guides of 2022 and 2023 carry. The publisher's differ so:
`valueQuantity` for `value[x]` leaves the other types open, a profile on a type brings its root's
constraints along, and slices take nothing over from what stands below the element they slice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

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
Known = Callable[[str], Json | None]  #: canonical -> StructureDefinition with its snapshot

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
#: types that hold codes
_CODED = {"code", "Coding", "CodeableConcept", "Quantity", "string", "uri", "Duration", "Age"}
#: what a slice does not take over from the element it slices
_OF_SLICED = {"slicing", "sliceName", "sliceIsConstraining"}
#: what a differential adds to, or has of its own
_SPECIAL = {"id", "path", "sliceName", "base", "constraint", "condition", "binding", "extension"}


class CircleError(DefinitionError):
    """A definition is asked for while its own snapshot is being made."""


def generate_snapshot(definition: Json, known: Known, *, publisher: bool = False) -> Json:
    """The definition with the snapshot that its differential makes of its base.

    `publisher` asks for the publisher's kind.

    Raises:
        DefinitionError: it has neither, its base is unknown, or the differential does not fit it.

    """
    url = definition.get("url", "a definition without url")
    own = str(definition.get("baseDefinition", "")).rpartition("/")[2] != definition.get("type")
    if own and definition.get("derivation", "constraint") != "constraint":
        raise DefinitionError(f"{url}: a new type needs a snapshot; only profiles can do without")
    canonical = definition.get("baseDefinition")
    if not isinstance(canonical, str):
        raise DefinitionError(f"{url}: has neither a snapshot nor a baseDefinition to make it from")
    try:
        base = known(canonical)
    except CircleError as error:
        raise DefinitionError(f"{url}: its baseDefinition leads back to itself") from error
    if base is None:
        raise DefinitionError(
            f"{url}: its baseDefinition {canonical} is not known; add its package"
        )
    merge = _SnapshotGenerator(url, base, known, publisher=publisher)
    elements: list[Json] = []
    for element in merge.list_elements(merge.merge_differential(definition)):
        if len(elements) >= MAX_ELEMENTS:
            raise DefinitionError(
                f"{url}: its snapshot would have more than {MAX_ELEMENTS:,} elements"
            )
        elements.append(element)
    return definition | {"snapshot": {"element": elements}}


class _SnapshotGenerator:
    """One differential on its base."""

    def __init__(self, url: str, base: Json, known: Known, *, publisher: bool) -> None:
        self._url = url
        self._publisher = publisher
        self._known = known
        self._base = parse_snapshot(base)
        self._trees: dict[str, ElementNode | None] = {}

    def merge_differential(self, definition: Json) -> ElementNode:
        if definition.get("differential") in (None, {}, {"element": []}):
            return self._base
        change = parse_differential(definition)
        if change.name != self._base.name:
            raise self._error(change.path, f"its base is a {self._base.name}")
        return self._merge_element(self._base, change, sliced=False)

    def list_elements(self, root: ElementNode) -> Iterator[Json]:
        """The elements in order; a content reference names the type whose element it means."""
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
        """The element as changed; `sliced` says that it stands in a slice of this differential."""
        element = base.element
        if change.element is not None:
            element = self._element(element, change.element)
        children = base.children
        if change.children:
            if not children:
                element, children = self._expand_children(element, change)
                sliced = False
            elif not _are_among(change, children):
                children = _merge_children(children, self._children_of_type(element))
            children = self._children(children, change, sliced=sliced)
        return ElementNode(
            base.name, element, slice_name=base.slice, children=children, slices=base.slices
        )

    def _element(self, base: Json, change: Json) -> Json:
        """An ElementDefinition with what a differential says of it."""
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
                *_new_constraints(have, change["constraint"], self._url),
            ]
        if "condition" in change:
            element["condition"] = list(
                dict.fromkeys([*element.get("condition", ()), *change["condition"]])
            )
        if "binding" in change:
            element["binding"] = _without(element.get("binding", {}), "extension", "description")
            element["binding"] |= change["binding"]
        if "extension" in change:
            element["extension"] = [*element.get("extension", ()), *change["extension"]]
        return _bindable(element) if "type" in change else element

    def _from_profile(self, base: Json, change: Json) -> Json:
        """The element, beginning as the one profile that the differential puts on its type."""
        types = change.get("type", ())
        profiles = types[0].get("profile", ()) if len(types) == 1 else ()
        if not profiles or not self._begins_as_profile(types[0]["code"]):
            return dict(base)
        root = self._tree(profiles[0])
        if root is None:
            return dict(base)
        own = _without(root.element, "id", "path", "base", *_OF_SLICED)
        own |= {key: True for key in ("isModifier", "isSummary") if base.get(key)}
        if types[0]["code"] != "Extension":
            own |= {key: base[key] for key in ("min", "max") if key in base}
        have = own.get("constraint", [])
        constraints = [*have, *_new_constraints(have, base.get("constraint", ()), "")]
        return base | own | ({"constraint": constraints} if constraints else {})

    def _begins_as_profile(self, code: str) -> bool:
        return code == "Extension" or (self._publisher and code not in {"Reference", "canonical"})

    # --- below it

    def _expand_children(
        self, element: Json, change: DifferentialElement
    ) -> tuple[Json, Sequence[ElementNode]]:
        """The element, and what its type or content reference says of what stands below."""
        reference = element.get("contentReference", "")
        if reference:
            repeated = self._resolve_content_reference(reference)
            if repeated is None:
                raise self._error(change.path, f"what it repeats, {reference}, is not known")
            taken = {"type": repeated.element["type"]} if "type" in repeated.element else {}
            return _without(element, "contentReference") | taken, repeated.children
        below = self._children_of_type(element)
        if not below:
            raise self._error(change.path, "nothing is known of what stands below it")
        return element, below

    def _children_of_type(self, element: Json) -> Sequence[ElementNode]:
        """What an element's profile or type says of what stands below."""
        for canonical in _types_below(element):
            root = self._tree(canonical)
            if root is not None and root.children:
                return root.children
        return ()

    def _resolve_content_reference(self, reference: str) -> ElementNode | None:
        """What a content reference repeats: `#Observation.referenceRange`, with or without url."""
        first, *rest = reference.rpartition("#")[2].split(".")
        node = self._base if first == self._base.name else self._tree(first)
        for name in rest:
            below = node.children if node else ()
            node = next((each for each in below if each.name == name), None)
        return node

    def _tree(self, canonical: str) -> ElementNode | None:
        """The snapshot of a type or profile; None where it is unknown, or being made just now."""
        if canonical not in self._trees:
            try:
                found = self._known(canonical)
            except CircleError:
                found = None
            self._trees[canonical] = None if found is None else parse_snapshot(found)
        return self._trees[canonical]

    def _children(
        self, below: Sequence[ElementNode], change: DifferentialElement, *, sliced: bool
    ) -> list[ElementNode]:
        groups = self._groups(below, change, sliced=sliced)
        return [
            self._merge_slices(each, *groups[each.name], sliced=sliced)
            if each.name in groups
            else each
            for each in below
        ]

    def _groups(
        self, below: Sequence[ElementNode], change: DifferentialElement, *, sliced: bool
    ) -> dict[str, tuple[DifferentialElement | None, list[DifferentialElement]]]:
        """What is changed below, by name: the element itself and its slices."""
        names = {each.name: each for each in below}
        choices = {each.name[:-3]: each for each in below if each.name.endswith("[x]")}
        found: dict[str, tuple[DifferentialElement | None, list[DifferentialElement]]] = {}
        for (name, part), each in change.children.items():
            one = each
            if name not in names:
                one = self._slice_of_choice(each, choices, alone=sliced)
                name, part = one.name, one.slice  # noqa: PLW2901 (the choice's own)
            plain, slices = found.get(name, (None, []))
            if part:
                found[name] = (plain, [*slices, one])
            elif plain is None:
                found[name] = (one, slices)
            else:
                raise self._error(each.path, "is changed twice, under two names")
        return found

    def _slice_of_choice(
        self, change: DifferentialElement, choices: dict[str, ElementNode], *, alone: bool
    ) -> DifferentialElement:
        """`valueQuantity` as the slice of `value[x]` it means; within slices, as all of it."""
        for stem, node in choices.items():
            rest = change.name.removeprefix(stem)
            for kind in node.element.get("type", ()):
                code = kind["code"]
                if rest != change.name and rest == code[:1].upper() + code[1:]:
                    one = DifferentialElement(node.name, "" if alone else change.name, change.path)
                    one.children = change.children
                    one.element = {"type": [_without(kind, "extension")]} | (change.element or {})
                    one.is_short = change.element is not None
                    one.is_implied = change.element is None
                    return one
        raise self._error(change.path, "its base has no such element")

    # --- slices

    def _merge_slices(
        self,
        base: ElementNode,
        plain: DifferentialElement | None,
        slices: Sequence[DifferentialElement],
        *,
        sliced: bool,
    ) -> ElementNode:
        """An element with its slices as changed."""
        node = base if plain is None else self._merge_element(base, plain, sliced=sliced)
        if not slices:
            return node
        if len(slices) == 1 and _is_only_named(node, slices[0]):
            named = DifferentialElement(node.name, "", slices[0].path)
            named.element, named.children = slices[0].element, slices[0].children
            return self._merge_element(node, named, sliced=sliced)
        origin = node if not self._publisher else base
        made = {each.slice: each for each in base.slices}
        inner: dict[str, list[DifferentialElement]] = {}
        outer = {*made, *(each.slice for each in slices)}
        for change in slices:
            owner = change.slice.rpartition("/")[0]
            if owner in outer:
                inner.setdefault(owner, []).append(change)
                continue
            here = made.get(change.slice) or _new_slice(
                base, origin.children, change, alone=len(slices) == 1
            )
            made[change.slice] = self._merge_element(here, change, sliced=True)
        for owner, changed in inner.items():
            made[owner] = self._merge_slices(made[owner], None, changed, sliced=True)
        parts = list(made.values())
        element = self._slicing(node, parts, slices, plain)
        return ElementNode(
            node.name, element, slice_name=node.slice, children=node.children, slices=parts
        )

    def _slicing(
        self,
        node: ElementNode,
        parts: Sequence[ElementNode],
        slices: Sequence[DifferentialElement],
        plain: DifferentialElement | None,
    ) -> Json:
        """The sliced element, which says by what it is sliced."""
        if node.name.endswith("[x]") and not _is_by_value(node.element):
            return self._by_type(node, parts, slices, plain)
        element = node.element
        if "slicing" not in element:
            if node.name not in {"extension", "modifierExtension"}:
                raise self._error(
                    slices[0].path, "is a slice, and nothing says what it is sliced by"
                )
            element = element | {"slicing": _BY_URL}
        if plain is None and element.get("base", element).get("max") != "1":
            needed = sum(each.element.get("min", 0) for each in parts)
            element = element | {"min": max(element.get("min", 0), needed)}
        return element

    def _by_type(
        self,
        node: ElementNode,
        parts: Sequence[ElementNode],
        slices: Sequence[DifferentialElement],
        plain: DifferentialElement | None,
    ) -> Json:
        """A choice that is sliced by type; closed where the slices leave no other.

        Where only short names speak of it (`valueQuantity`) other types are not meant to be there,
        nor where a slice is required.
        """
        said = (plain and plain.element) or {}
        is_short = any(each.is_short for each in slices)
        is_of_extension = node.element.get("base", {}).get("path") == "Extension.value[x]"
        named = {kind["code"] for each in parts for kind in each.element.get("type", ())}
        types = node.element.get("type", [])
        kept = {each["code"] for each in types}
        least = node.element.get("min", 0)
        if is_short and "type" not in said and (is_of_extension or not self._publisher):
            kept = named
        required = {each.slice for each in slices if each.element and each.element.get("min")}
        if required and (is_short or "slicing" in said):
            needed = [each.element.get("type", ()) for each in parts if each.slice in required]
            kept = {kind["code"] for kind in needed[-1]}
            least = max(least, 1)
        types = [each for each in types if each["code"] in kept]
        is_closed = kept <= named or not (
            said
            or "slicing" in node.element
            or self._publisher
            or any(each.is_implied for each in slices)
        )
        slicing = _BY_TYPE | ({"rules": "closed"} if is_closed else {})
        return _bindable(node.element | {"type": types, "min": least, "slicing": slicing})


def _types_below(element: Json) -> list[str]:
    """The canonicals of what may say what stands below an element, the nearest first."""
    types = element.get("type", ())
    codes = {each["code"] for each in types}
    if len(codes) != 1:
        return ["Element"] if codes else []
    profiles = types[0].get("profile", ())[:1] if len(types) == 1 else ()
    return [*profiles, *codes]


def _are_among(change: DifferentialElement, below: Sequence[ElementNode]) -> bool:
    """True where all that is changed below an element is listed there."""
    names = {each.name for each in below}
    stems = tuple(name[:-3] for name in names if name.endswith("[x]"))
    return all(name in names or name.startswith(stems) for name, _ in change.children)


def _merge_children(
    below: Sequence[ElementNode], merge_differential: Sequence[ElementNode]
) -> list[ElementNode]:
    """What is listed below an element, with what its type adds."""
    have = {each.name: each for each in below}
    return [have.pop(each.name, each) for each in merge_differential] + list(have.values())


def _new_slice(
    base: ElementNode, children: Sequence[ElementNode], change: DifferentialElement, *, alone: bool
) -> ElementNode:
    """A slice before anything is said of it: as the element, and not required.

    Of a choice, the one type that is spoken of is required where the choice is.
    """
    element = _without(base.element, *_OF_SLICED)
    if not (alone and base.name.endswith("[x]")):
        element["min"] = 0
    return ElementNode(base.name, element, slice_name=change.slice, children=children)


def _is_only_named(node: ElementNode, change: DifferentialElement) -> bool:
    """True of an element that gets a name although nothing slices it."""
    return not (
        node.slices
        or "slicing" in node.element
        or node.name.endswith("[x]")
        or node.name in {"extension", "modifierExtension"}
        or "/" in change.slice
    )


def _is_by_value(element: Json) -> bool:
    """True of a choice that is sliced by something else than its type."""
    by = element.get("slicing", {}).get("discriminator", ())
    return any(each["type"] != "type" or each["path"] != "$this" for each in by)


def _bindable(element: Json) -> Json:
    """An element without a binding where its types hold no codes."""
    if "binding" in element and not any(each["code"] in _CODED for each in element.get("type", ())):
        return _without(element, "binding")
    return element


def _new_constraints(have: Iterable[Json], constraints: Iterable[Json], source: str) -> list[Json]:
    """Those constraints that are not there yet, with the url of where they are from."""
    keys = {each["key"] for each in have}
    origin = {"source": source} if source else {}
    return [origin | each for each in constraints if each["key"] not in keys]


def _without(facts: Json, *names: str) -> Json:
    return {key: value for key, value in facts.items() if key not in names}
