"""A profile's snapshot as a tree, for those who read what it says.  https://hl7.org/fhir/R4/elementdefinition.html"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from fhir_b12.definitions import R4

Facts = dict[str, Any]  #: an ElementDefinition

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_TYPE = STRUCTURE + "structuredefinition-fhir-type"


class Step(NamedTuple):
    """One step of a discriminator's path."""

    what: str  #: name, resolve, extension, type
    name: str = ""


class Structures(Protocol):
    """Where structures are found by their canonical."""

    def structure(self, canonical: str) -> dict[str, Any] | None:
        """A StructureDefinition with its snapshot."""
        ...


class Raw:
    """One element of a snapshot with those below it."""

    __slots__ = ("children", "facts", "name", "parent", "slice")

    def __init__(self, facts: Facts, parent: "Raw | None" = None) -> None:
        self.facts = facts
        self.parent = parent
        self.name: str = str(facts.get("path", "")).rpartition(".")[2]
        self.slice: str | None = facts.get("sliceName")
        self.children: list[Raw] = []

    def choice(self, stem: str) -> Any:
        """The value of fixed[x], pattern[x], minValue[x] or maxValue[x], if there is one."""
        return next(
            (
                value
                for name, value in self.facts.items()
                if name.startswith(stem) and value is not None
            ),
            None,
        )

    def typed(self) -> Iterator[Facts]:
        """Its types as the definition has them."""
        return (each for each in self.facts.get("type", ()) if isinstance(each, dict))

    @property
    def types(self) -> tuple[str, ...]:
        """The names of its types."""
        return tuple(name for each in self.typed() if (name := type_name(each)))

    @property
    def profiles(self) -> list[str]:
        """What its types must conform to."""
        return [url for each in self.typed() for url in each.get("profile", ())]

    @property
    def targets(self) -> list[str]:
        """What its references must point to."""
        return [url for each in self.typed() for url in each.get("targetProfile", ())]


def type_name(facts: Facts) -> str:
    """The name of a type: that of FHIR where the definition names one of FHIRPath's."""
    code = str(facts.get("code", ""))
    if code.startswith(_SYSTEM):
        for each in facts.get("extension", ()):
            if each.get("url") == _TYPE:
                return str(each.get("valueUrl") or each.get("valueUri") or "")
        code = code.removeprefix(_SYSTEM)
        return code[:1].lower() + code[1:]
    return code.removeprefix(STRUCTURE)


def tree(elements: Sequence[Facts]) -> Raw | None:
    """The root of a snapshot's elements; each belongs to the last one above it with its path.

    What hangs in the air, since nothing above it has its path, is left out.
    """
    if not elements:
        return None
    root = Raw(elements[0])
    last = {str(elements[0].get("path")): root}
    for facts in elements[1:]:
        path = str(facts.get("path"))
        parent = last.get(path.rpartition(".")[0])
        if parent is not None:
            here = Raw(facts, parent)
            parent.children.append(here)
            last[path] = here
    return root


class Snapshots:
    """The trees of the structures of one set of definitions."""

    def __init__(self, structures: Structures) -> None:
        self.structures = structures
        self._roots: dict[str, Raw | None] = {}

    def root(self, url: str) -> Raw | None:
        """The tree of a structure; None where it is not known.

        Raises:
            DefinitionError: its snapshot cannot be had.

        """
        if url not in self._roots:
            structure = self.structures.structure(url)
            self._roots[url] = (
                None
                if structure is None
                else tree(structure.get("snapshot", {}).get("element", ()))
            )
        return self._roots[url]

    def type_of(self, url: str) -> str | None:
        """The type that a structure is of; None where it is not known."""
        name = url.removeprefix(STRUCTURE)
        if R4.is_resource(name) or name in R4.data_types:
            return name
        structure = self.structures.structure(url)
        return None if structure is None else str(structure.get("type", ""))

    def at(self, place: Raw, path: Iterable[Step]) -> list[Raw]:
        """What definitions say of a discriminator's path below an element, nearest first."""
        here = [place]
        for step in path:
            here = [below for each in here for below in self._below(each, step)]
        return here

    def _below(self, place: Raw, step: Step) -> Iterator[Raw]:
        if step.what == "type":
            if not place.types or step.name in place.types:
                yield place
        elif step.what == "resolve":
            for url in place.targets:
                root = self.root(url)
                if root is not None:
                    yield root
        elif step.what == "extension":
            for each in self._children(place, "extension"):
                fixed = [below.choice("fixed") for below in each.children if below.name == "url"]
                if step.name in {*each.profiles, *fixed, each.slice}:
                    yield each
        elif step.name == "value" and place.choice("fixed") is not None and not place.children:
            yield place
        else:
            yield from self._children(place, step.name)
            yield from _patterned(place, step.name)

    def _children(self, place: Raw, name: str) -> Iterator[Raw]:
        """The elements of a name: those of the snapshot, then those of the type's profiles."""
        holders = [place]
        for url in place.profiles:
            root = self.root(url)
            if root is not None:
                holders.append(root)
        for holder in holders:
            for each in holder.children:
                if each.name in {name, f"{name}[x]"} or (
                    each.slice == each.name and each.name.startswith(name)
                ):
                    yield each


def _patterned(place: Raw, name: str) -> Iterator[Raw]:
    """What a fixed value or a pattern of an element says of a part of it."""
    for stem in ("fixed", "pattern"):
        whole = place.choice(stem)
        if isinstance(whole, dict) and name in whole:
            parts = whole[name] if isinstance(whole[name], list) else [whole[name]]
            for part in parts:
                yield Raw({"path": f"{place.facts.get('path')}.{name}", "patternPart": part}, place)
