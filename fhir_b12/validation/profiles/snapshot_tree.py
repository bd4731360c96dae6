"""The elements of a snapshot as a tree.  https://hl7.org/fhir/R4/elementdefinition.html"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from fhir_b12.definitions import R4

ElementDefinition = dict[str, Any]  #: as JSON

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_MAX_VALUE_SET = STRUCTURE + "elementdefinition-maxValueSet"
_FHIR_TYPE = STRUCTURE + "structuredefinition-fhir-type"


class DiscriminatorStep(NamedTuple):
    """One step of a discriminator's path."""

    what: str  #: "name", "resolve", "extension" or "type"
    name: str = ""  #: of the element, the extension's url or the type


class Binding(NamedTuple):
    """The binding of an element.  https://hl7.org/fhir/R4/terminologies.html#binding"""

    strength: str  #: "required", "extensible", "preferred" or "example"
    value_set: str  #: canonical url
    max_value_set: str | None  #: canonical url


class StructureResolver(Protocol):
    """Source of StructureDefinitions: `definitions.canonicals.Canonicals`."""

    def structure(self, canonical: str) -> dict[str, Any] | None:
        """Return a StructureDefinition with its snapshot, None if unknown."""
        ...


class SnapshotElement:
    """One element of a snapshot and its children."""

    __slots__ = ("children", "definition", "name", "parent", "slice_name")

    def __init__(
        self, definition: ElementDefinition, parent: "SnapshotElement | None" = None
    ) -> None:
        self.definition = definition
        self.parent = parent
        self.name: str = str(definition.get("path", "")).rpartition(".")[2]
        self.slice_name: str | None = definition.get("sliceName")
        self.children: list[SnapshotElement] = []

    def choice(self, stem: str) -> Any:
        """Return the value of fixed[x], pattern[x], minValue[x] or maxValue[x], None if absent."""
        return next(
            (
                value
                for name, value in self.definition.items()
                if name.startswith(stem) and value is not None
            ),
            None,
        )

    def type_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of ElementDefinition.type."""
        return (row for row in self.definition.get("type", ()) if isinstance(row, dict))

    @property
    def min(self) -> int:
        """Its minimum cardinality; 0 if it is not stated."""
        value = self.definition.get("min", 0)
        return value if isinstance(value, int) else 0

    @property
    def max(self) -> int | None:
        """Its maximum cardinality; None for "*" and if it is not stated."""
        text = str(self.definition.get("max", "*"))
        return int(text) if text.isdecimal() and len(text) < 10 else None

    @property
    def binding(self) -> Binding | None:
        """Its binding to a value set; None if there is none."""
        binding = self.definition.get("binding")
        if not isinstance(binding, dict) or not isinstance(binding.get("valueSet"), str):
            return None
        max_value_set = next(
            (
                extension.get("valueCanonical") or extension.get("valueUri")
                for extension in binding.get("extension", ())
                if extension.get("url") == _MAX_VALUE_SET
            ),
            None,
        )
        strength = str(binding.get("strength", "example"))
        return Binding(strength, binding["valueSet"], max_value_set)

    @property
    def discriminators(self) -> list[tuple[str, str]]:
        """Type and path of each discriminator of its slices."""
        slicing: dict[str, Any] = self.definition.get("slicing") or {}
        return [
            (str(row.get("type")), str(row.get("path", "$this")))
            for row in slicing.get("discriminator", ())
        ]

    @property
    def types(self) -> tuple[str, ...]:
        """The names of its types."""
        return tuple(name for row in self.type_rows() if (name := type_name(row)))

    @property
    def profiles(self) -> list[str]:
        """The profiles that its types must conform to."""
        return [url for row in self.type_rows() for url in row.get("profile", ())]

    @property
    def targets(self) -> list[str]:
        """The profiles that the targets of its references must conform to."""
        return [url for row in self.type_rows() for url in row.get("targetProfile", ())]


def type_name(row: dict[str, Any]) -> str:
    """Return the name of a type; for one of FHIRPath's System types, that of FHIR's."""
    code = str(row.get("code", ""))
    if code.startswith(_SYSTEM):
        for extension in row.get("extension", ()):
            if extension.get("url") == _FHIR_TYPE:
                return str(extension.get("valueUrl") or extension.get("valueUri") or "")
        code = code.removeprefix(_SYSTEM)
        return code[:1].lower() + code[1:]
    return code.removeprefix(STRUCTURE)


def build_tree(elements: Sequence[ElementDefinition]) -> SnapshotElement | None:
    """Return the root of a snapshot's elements, None if there are none.

    Each element is a child of the last one above it that has its parent's path. Elements whose
    parent is missing are left out.
    """
    if not elements:
        return None
    root = SnapshotElement(elements[0])
    last_by_path = {str(elements[0].get("path")): root}
    for definition in elements[1:]:
        path = str(definition.get("path"))
        parent = last_by_path.get(path.rpartition(".")[0])
        if parent is not None:
            element = SnapshotElement(definition, parent)
            parent.children.append(element)
            last_by_path[path] = element
    return root


class Snapshots:
    """The snapshot trees of one set of definitions."""

    def __init__(self, structures: StructureResolver) -> None:
        self.structures = structures
        self._roots: dict[str, SnapshotElement | None] = {}

    def root(self, url: str) -> SnapshotElement | None:
        """Return the tree of a structure, None if the structure is unknown or has no elements."""
        if url not in self._roots:
            structure = self.structures.structure(url)
            self._roots[url] = (
                None
                if structure is None
                else build_tree(structure.get("snapshot", {}).get("element", ()))
            )
        return self._roots[url]

    def type_of(self, url: str) -> str | None:
        """Return the type that a structure constrains, None if the structure is unknown."""
        name = url.removeprefix(STRUCTURE)
        if R4.is_resource(name) or name in R4.data_types:
            return name
        structure = self.structures.structure(url)
        return None if structure is None else str(structure.get("type", ""))

    def elements_at(
        self, start: SnapshotElement, path: Iterable[DiscriminatorStep]
    ) -> list[SnapshotElement]:
        """Return the elements at a discriminator's path below an element, the nearest first."""
        elements = [start]
        for step in path:
            elements = [below for element in elements for below in self._below(element, step)]
        return elements

    def _below(
        self, element: SnapshotElement, step: DiscriminatorStep
    ) -> Iterator[SnapshotElement]:
        if step.what == "type":
            if not element.types or step.name in element.types:
                yield element
        elif step.what == "resolve":
            for url in element.targets:
                root = self.root(url)
                if root is not None:
                    yield root
        elif step.what == "extension":
            for child in self._children(element, "extension"):
                urls = [part.choice("fixed") for part in child.children if part.name == "url"]
                if step.name in {*child.profiles, *urls, child.slice_name}:
                    yield child
        elif step.name == "value" and element.choice("fixed") is not None and not element.children:
            yield element
        else:
            yield from self._children(element, step.name)
            yield from _parts_of_fixed_value(element, step.name)

    def _children(self, element: SnapshotElement, name: str) -> Iterator[SnapshotElement]:
        """Yield the children of a name, first the snapshot's, then those of the type's profiles."""
        parents = [element]
        for url in element.profiles:
            root = self.root(url)
            if root is not None:
                parents.append(root)
        for parent in parents:
            for child in parent.children:
                if child.name in {name, f"{name}[x]"} or (
                    child.slice_name == child.name and child.name.startswith(name)
                ):
                    yield child


def _parts_of_fixed_value(element: SnapshotElement, name: str) -> Iterator[SnapshotElement]:
    """Yield the parts of a fixed value or pattern that have a name, as elements with patterns."""
    for stem in ("fixed", "pattern"):
        whole = element.choice(stem)
        if isinstance(whole, dict) and name in whole:
            parts = whole[name] if isinstance(whole[name], list) else [whole[name]]
            for part in parts:
                path = f"{element.definition.get('path')}.{name}"
                yield SnapshotElement({"path": path, "patternPart": part}, element)
