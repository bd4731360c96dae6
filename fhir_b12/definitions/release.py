"""Types, elements, invariants and search parameters of one release of FHIR.

https://hl7.org/fhir/R4/resourcelist.html

Paths are those of JSON: `Observation.valueQuantity.unit`, `Observation.component[0].code`. They
continue into data types, content references (`Observation.component.referenceRange.low`) and the
companions of primitives (`Patient._birthDate.extension`). The elements of a contained resource or
of a resource in a Bundle are looked up by that resource's own type. `resourceType` is a property,
not an element.

The files of a release are written by `tools/distil_r4.py`. They are read when first needed.
"""

import re
import zlib
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from importlib.resources.abc import Traversable
from types import MappingProxyType

import msgspec

from fhir_b12 import data
from fhir_b12.caching import known_to_msgspec
from fhir_b12.suggestions import closest

Codes = MappingProxyType[str, frozenset[str]]  #: code system url -> codes


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """Definition of one element.  https://hl7.org/fhir/R4/elementdefinition.html"""

    path: str  #: as requested, without indices: "Observation.valueQuantity.unit"
    defined: str  #: path of the definition: "Quantity.unit"
    min: int
    max: int | None  #: None for *
    types: tuple[str, ...]  #: one for a concrete choice `valueQuantity`; empty beside `content`
    targets: tuple[str, ...] = ()  #: target types of a Reference or canonical: ("Patient", ...)
    profiles: tuple[str, ...] = ()  #: profiles of the type: ("SimpleQuantity",)
    binding: str | None = None  #: url of the value set, without version
    strength: str | None = None  #: required, extensible, preferred, example
    ceiling: str | None = None  #: url of the maximum value set, which holds for any strength
    is_modifier: bool = False
    is_summary: bool = False
    content: str | None = None  #: path of the content reference: "Observation.referenceRange"


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """A constraint on the element at `path`.  https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

    key: str  #: "obs-6"
    severity: str  #: error or warning
    human: str
    expression: str  #: FHIRPath, "" if the specification has none
    path: str  #: "Observation.referenceRange"


class SearchComponent(msgspec.Struct, frozen=True, kw_only=True):
    """One component of a composite search parameter."""

    definition: str  #: url of the component's search parameter
    expression: str  #: FHIRPath of its value, relative to the composite's


class SearchParameter(msgspec.Struct, frozen=True, kw_only=True):
    """Definition of a search parameter.  https://hl7.org/fhir/R4/searchparameter.html"""

    url: str
    name: str
    code: str  #: name in the query: "patient"
    type: str  #: token, reference, date, quantity, string, uri, composite, number, special
    base: tuple[str, ...]  #: resource types it applies to: ("Observation",), ("Resource",)
    expression: str = ""  #: FHIRPath, for all its types: "AllergyIntolerance.code | Condition.code"
    target: tuple[str, ...] = ()  #: target types of a reference
    comparator: tuple[str, ...] = ()
    modifier: tuple[str, ...] = ()
    component: tuple[SearchComponent, ...] = ()  #: of a composite


class _Type(msgspec.Struct, frozen=True):
    """One row of `types.json.gz`."""

    kind: str
    base: str | None = None
    abstract: bool = False


class _ElementRow(msgspec.Struct, frozen=True):
    """One row of `elements.json.gz`."""

    min: int = 0
    max: str = "1"
    types: tuple[str, ...] = ()
    targets: dict[str, tuple[str, ...]] = {}
    profiles: dict[str, tuple[str, ...]] = {}
    binding: str | None = None
    strength: str | None = None
    ceiling: str | None = None
    modifier: bool = False
    summary: bool = False
    attribute: bool = False  #: attribute of the XML element: in JSON it has no companion
    content: str | None = None


_ChildRow = tuple[str, _ElementRow]  #: path below the type as the specification has it, and row

_GZIP = 31  #: zlib's wbits for a gzip header
_COMPANION = _ElementRow(types=("Element",))


class Release:
    """One release of FHIR, read from a folder of distilled files.

    Immutable and safe to share between threads. Each instance has caches of its own.
    """

    def __init__(self, name: str, version: str, folder: Traversable) -> None:
        """Name the release; no file is read yet.

        Args:
            name: name in messages: "R4".
            version: version of the specification: "4.0.1".
            folder: where `types.json.gz`, `elements.json.gz` and the other sections are.

        """
        self.name = name
        self.version = version
        self.folder = folder
        self._section = cache(self._read_section)
        self._tree = cache(self._build_tree)
        self._element = lru_cache(maxsize=4096)(self._find_element)
        self._value_set = cache(self._read_value_set)
        self._invariants = cache(self._read_invariants)
        self._search_parameters = cache(self._collect_search_parameters)
        self._compartment = cache(self._read_compartment)

    def __repr__(self) -> str:
        return f"<Release {self.name} {self.version}>"

    # --- types

    @cached_property
    def resource_types(self) -> frozenset[str]:
        """Every concrete resource type.  https://hl7.org/fhir/R4/resourcelist.html"""
        return frozenset(
            name for name, row in self._types.items() if row.kind == "resource" and not row.abstract
        )

    @cached_property
    def data_types(self) -> frozenset[str]:
        """Every data type, including primitives.  https://hl7.org/fhir/R4/datatypes.html"""
        return frozenset(name for name, row in self._types.items() if row.kind != "resource")

    @cached_property
    def _types(self) -> dict[str, _Type]:
        return {
            name: msgspec.json.decode(raw, type=known_to_msgspec(_Type))
            for name, raw in self._section("types").items()
        }

    def is_resource(self, name: str) -> bool:
        """Return True for a concrete resource type: Observation, not DomainResource."""
        return name in self.resource_types

    def is_primitive(self, name: str) -> bool:
        """Return True for a primitive type.  https://hl7.org/fhir/R4/datatypes.html#primitive"""
        row = self._types.get(name)
        return row is not None and row.kind == "primitive-type"

    def base(self, name: str) -> str | None:
        """Return the base type: `string` for `code`; None for a root or an unknown type."""
        row = self._types.get(name)
        return None if row is None else row.base

    # --- elements

    def element(self, path: str) -> Element | None:
        """Return the element at a path, None if it is unknown or prohibited (max 0).

        A choice is found as `Observation.value[x]` and by each concrete name,
        `Observation.valueQuantity`, which has that one type; its `min` is that of the choice.
        https://hl7.org/fhir/R4/formats.html#choice
        """
        return self._element(_strip_indices(path))

    def children(self, path: str) -> tuple[str, ...]:
        """Return the JSON names of the children in the specification's order, choices expanded.

        Empty for an unknown path and for a choice `value[x]`, whose concrete names have children.
        """
        element = self.element(path)
        if element is None:
            return ()
        names = self._below(element)
        return tuple(name for name in names if not name.endswith("[x]") and name[0] != "_")

    def suggest(self, path: str) -> str | None:
        """Return the known path nearest to an unknown one, None if no name is close enough.

        Each unknown name is replaced by the closest name at that level. A suggestion that ends in
        `value[x]` means that a type must be chosen. A known path is its own suggestion.
        """
        first, *rest = _strip_indices(path).split(".")
        suggestion = closest(first, self._types)
        for name in rest:
            if suggestion is None:
                return None
            element = self.element(suggestion)
            nearest = closest(name, self._below(element)) if element else None
            suggestion = f"{suggestion}.{nearest}" if nearest else None
        return suggestion

    def _find_element(self, path: str) -> Element | None:
        parent_path, _, name = path.rpartition(".")
        if not parent_path:
            return self._root(name)
        parent = self._element(parent_path)
        if parent is None or (child := self._below(parent).get(name)) is None:
            return None
        return _build_element(path, self._owner(parent)[0], *child)

    def _root(self, name: str) -> Element | None:
        """Return a type itself as an element."""
        if name not in self._types:
            return None
        return Element(path=name, defined=name, min=0, max=None, types=(name,))

    def _below(self, parent: Element) -> dict[str, _ChildRow]:
        """Return the children of an element by JSON name; empty for a choice or a primitive."""
        if len(parent.types) > 1 or any(map(self.is_primitive, parent.types)):
            return {}
        owner, parent_path = self._owner(parent)
        return self._tree(owner).get(parent_path, {})

    def _owner(self, parent: Element) -> tuple[str, str]:
        """Return the type that defines an element's children, and the element's path below it."""
        if parent.content:
            owner, _, path = parent.content.partition(".")
            return owner, path
        owner, _, path = parent.defined.partition(".")
        if parent.path.rpartition(".")[2][0] != "_" and path in self._tree(owner):
            return owner, path
        return (parent.profiles or parent.types)[0], ""

    def _build_tree(self, name: str) -> dict[str, dict[str, _ChildRow]]:
        """Return a type's elements: path of the parent below the type -> JSON name -> row."""
        tree: dict[str, dict[str, _ChildRow]] = {}
        raw = self._section("elements")[name]
        rows = msgspec.json.decode(raw, type=known_to_msgspec(dict[str, _ElementRow]))
        for path, row in rows.items():
            if path and row.max != "0":
                parent, _, last = path.rpartition(".")
                tree.setdefault(parent, {}).update(self._json_names(last, path, row))
        return tree

    def _json_names(self, last: str, path: str, row: _ElementRow) -> dict[str, _ChildRow]:
        """Return the JSON names of an element: its own, those of a choice, and companions."""
        names = {last: (path, row)}
        if last.endswith("[x]"):
            stem = last.removesuffix("[x]")
            for type_name in row.types:
                typed = msgspec.structs.replace(row, types=(type_name,))
                names[f"{stem}{type_name[0].upper()}{type_name[1:]}"] = (path, typed)
        if not row.attribute:
            companion = (path, msgspec.structs.replace(_COMPANION, max=row.max))
            extensible = [name for name, (_, typed) in names.items() if self._has_companion(typed)]
            names |= {f"_{name}": companion for name in extensible}
        return names

    def _has_companion(self, row: _ElementRow) -> bool:
        """Return True for a single primitive type that JSON gives a companion; not for xhtml."""
        return len(row.types) == 1 and row.types[0] != "xhtml" and self.is_primitive(row.types[0])

    # --- value sets

    def value_set(self, url: str) -> Codes | None:
        """Return the codes of a value set by code system, None if unknown or not enumerable.

        Only value sets of required bindings are here. Currencies, MIME types, UCUM units and one
        LOINC answer list are defined outside FHIR and therefore not enumerable.
        """
        return self._value_set(url)

    def required_value_set(self, element: Element) -> Codes | None:
        """Return the codes of an element's required binding by code system.

        None if the element has no required binding, or its value set is not enumerable.
        https://hl7.org/fhir/R4/terminologies.html#required
        """
        if element.binding is None or element.strength != "required":
            return None
        return self._value_set(element.binding)

    def required_codes(self, element: Element) -> frozenset[str] | None:
        """Return the codes of an element's required binding whatever their code system.

        None if the element has no required binding, or its value set is not enumerable.
        """
        systems = self.required_value_set(element)
        return None if systems is None else frozenset[str]().union(*systems.values())

    def codes(self, path: str) -> frozenset[str] | None:
        """Return the codes of the required binding at a path, None as `required_codes` does."""
        element = self.element(path)
        return None if element is None else self.required_codes(element)

    def _read_value_set(self, url: str) -> Codes | None:
        raw = self._section("value_sets").get(url)
        if raw is None:
            return None
        codes = msgspec.json.decode(raw, type=dict[str, frozenset[str]] | None)
        return None if codes is None else MappingProxyType(codes)

    # --- invariants

    def invariants(self, name: str) -> tuple[Invariant, ...]:
        """Return the invariants of a type, then those of its bases; empty for an unknown type.

        Invariants of its elements' types are returned for those types: ele-1 for Element.
        """
        return self._invariants(name)

    def _read_invariants(self, name: str) -> tuple[Invariant, ...]:
        raw = self._section("invariants").get(name)
        own = (
            ()
            if raw is None
            else msgspec.json.decode(raw, type=known_to_msgspec(tuple[Invariant, ...]))
        )
        base = self.base(name)
        return own + (self._invariants(base) if base else ())

    # --- search

    def search_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        """Return the search parameters of a resource type by code, those of all types included.

        https://hl7.org/fhir/R4/searchparameter-registry.html
        """
        return self._search_parameters(resource_type)

    def compartment(self, name: str) -> Mapping[str, tuple[str, ...]]:
        """Return the resource types of a compartment, each with the parameters that include it.

        `compartment("Patient")["Observation"]` is `("subject", "performer")`. The compartment's
        own type may be included as `("{def}",)`. Empty for an unknown compartment.
        https://hl7.org/fhir/R4/compartmentdefinition.html
        """
        return self._compartment(name)

    def _collect_search_parameters(self, resource_type: str) -> Mapping[str, SearchParameter]:
        if not self.is_resource(resource_type):
            return MappingProxyType({})
        bases = ("Resource", "DomainResource", resource_type)
        by_base = self._search_parameters_by_base
        return MappingProxyType(
            {parameter.code: parameter for base in bases for parameter in by_base.get(base, ())}
        )

    @cached_property
    def _search_parameters_by_base(self) -> dict[str, list[SearchParameter]]:
        by_base: dict[str, list[SearchParameter]] = {}
        for raw in self._section("search_parameters").values():
            parameter = msgspec.json.decode(raw, type=known_to_msgspec(SearchParameter))
            for base in parameter.base:
                by_base.setdefault(base, []).append(parameter)
        return by_base

    def _read_compartment(self, name: str) -> Mapping[str, tuple[str, ...]]:
        raw = self._section("compartments").get(name, b"{}")
        return MappingProxyType(msgspec.json.decode(raw, type=dict[str, tuple[str, ...]]))

    # --- files

    def _read_section(self, name: str) -> dict[str, msgspec.Raw]:
        """Read one distilled file; its values stay encoded because most are never needed."""
        packed = data.read(self.folder, f"{name}.json.gz")
        return msgspec.json.decode(zlib.decompress(packed, _GZIP), type=dict[str, msgspec.Raw])


def _strip_indices(path: str) -> str:
    """Return a path without indices: `a.b` for `a[0].b`; `value[x]` stays."""
    return re.sub(r"\[\d+\]", "", path)


def _build_element(path: str, owner: str, defined_path: str, row: _ElementRow) -> Element:
    return Element(
        path=path,
        defined=f"{owner}.{defined_path}",
        min=row.min,
        max=None if row.max == "*" else int(row.max),
        types=row.types,
        targets=_select_types(row.targets, row.types),
        profiles=_select_types(row.profiles, row.types),
        binding=row.binding,
        strength=row.strength,
        ceiling=row.ceiling,
        is_modifier=row.modifier,
        is_summary=row.summary,
        content=row.content,
    )


def _select_types(by_type: dict[str, tuple[str, ...]], types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for type_name in types for name in by_type.get(type_name, ()))
