"""What FHIR R4 says of its types, element by element.  https://hl7.org/fhir/R4/resourcelist.html

Paths are those of JSON: `Observation.valueQuantity.unit`, `Observation.component[0].code`; they
lead through data types, content references (`Observation.component.referenceRange.low`) and the
companions of primitives (`Patient._birthDate.extension`). What stands in a contained resource or
in a Bundle's entry is asked for by its own type. `resourceType` is a property, not an element.

The facts are distilled by `tools/distil_r4.py` from the R4 core package, 4.0.1. Nothing is read
before it is asked for.
"""

import re
import zlib
from collections.abc import Mapping
from functools import cache, lru_cache
from types import MappingProxyType

import msgspec

from fhir_b12 import data
from fhir_b12.caching import learned
from fhir_b12.suggestions import closest

Codes = MappingProxyType[str, frozenset[str]]  #: code system url -> codes


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """What R4 says of one element.  https://hl7.org/fhir/R4/elementdefinition.html"""

    path: str  #: as asked, without indices: "Observation.valueQuantity.unit"
    defined: str  #: where R4 defines it: "Quantity.unit"
    min: int
    max: int | None  #: None where R4 says *
    types: tuple[str, ...]  #: one where a choice is spelled out; none beside `content`
    targets: tuple[str, ...] = ()  #: what a Reference or canonical may point to: ("Patient", ...)
    profiles: tuple[str, ...] = ()  #: what restricts the type: ("SimpleQuantity",)
    binding: str | None = None  #: url of the value set, without version
    strength: str | None = None  #: required, extensible, preferred, example
    ceiling: str | None = None  #: url of the value set no code may leave, whatever the strength
    is_modifier: bool = False
    is_summary: bool = False
    content: str | None = None  #: path whose children these are: "Observation.referenceRange"

    @property
    def value_set(self) -> Codes | None:
        """The codes a required binding permits; None where there is none or it cannot be told."""
        return value_set(self.binding) if self.binding and self.strength == "required" else None

    @property
    def codes(self) -> frozenset[str] | None:
        """The codes of `value_set` whatever their system; None where it is None."""
        systems = self.value_set
        return None if systems is None else frozenset[str]().union(*systems.values())


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """A rule on the element at `path`.  https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

    key: str  #: "obs-6"
    severity: str  #: error or warning
    human: str
    expression: str  #: FHIRPath, "" where R4 has none
    path: str  #: "Observation.referenceRange"


def element(path: str) -> Element | None:
    """What R4 says of the element at a path, None where it has none or forbids it.

    A choice answers to `Observation.value[x]` and to each spelling, `Observation.valueQuantity`,
    which has the one type; `min` is then that of the whole choice.
    https://hl7.org/fhir/R4/formats.html#choice
    """
    return _element(_plain(path))


def children(path: str) -> tuple[str, ...]:
    """JSON names below a path in R4's order, choices spelled out; none where there is no such path.

    A choice `value[x]` has none of its own: its spellings have.
    """
    found = element(path)
    if found is None:
        return ()
    return tuple(name for name in _below(found) if not name.endswith("[x]") and name[0] != "_")


def suggest(path: str) -> str | None:
    """The nearest path R4 has, for one it has not: each wrong name is replaced by the nearest.

    None where nothing is near. `value[x]` says that a type must be chosen. A right path is its
    own suggestion.
    """
    first, *rest = _plain(path).split(".")
    right = closest(first, _types())
    for name in rest:
        if right is None:
            return None
        tree = element(right)
        near = closest(name, _below(tree)) if tree else None
        right = f"{right}.{near}" if near else None
    return right


@cache
def resource_types() -> frozenset[str]:
    """Every type of resource.  https://hl7.org/fhir/R4/resourcelist.html"""
    return frozenset(
        name for name, each in _types().items() if each.kind == "resource" and not each.abstract
    )


@cache
def data_types() -> frozenset[str]:
    """Every data type, primitives among them.  https://hl7.org/fhir/R4/datatypes.html"""
    return frozenset(name for name, each in _types().items() if each.kind != "resource")


def is_resource(name: str) -> bool:
    """True of a concrete resource type: Observation, not DomainResource."""
    return name in resource_types()


def is_primitive(name: str) -> bool:
    """True of a primitive data type.  https://hl7.org/fhir/R4/datatypes.html#primitive"""
    return name in _types() and _types()[name].kind == "primitive-type"


def base(name: str) -> str | None:
    """The type a type is derived from: `string` for `code`; None for a root or an unknown type."""
    return _types()[name].base if name in _types() else None


def codes(path: str) -> frozenset[str] | None:
    """The codes a required binding permits at a path; None where none is, or it cannot be told.

    https://hl7.org/fhir/R4/terminologies.html#required
    """
    found = element(path)
    return found.codes if found else None


@cache
def value_set(url: str) -> Codes | None:
    """The codes of a value set that R4 requires somewhere, by system; None where it cannot be told.

    Currencies, MIME types, UCUM units and one LOINC answer list are defined outside FHIR.
    """
    raw = _section("value_sets").get(url)
    found = None if raw is None else msgspec.json.decode(raw, type=dict[str, frozenset[str]] | None)
    return None if found is None else MappingProxyType(found)


@cache
def invariants(name: str) -> tuple[Invariant, ...]:
    """The invariants a type states, then those of its bases; none for an unknown type.

    Those of its elements' types are asked for by that type: ele-1 stands with Element.
    """
    raw = _section("invariants").get(name)
    own = () if raw is None else msgspec.json.decode(raw, type=learned(tuple[Invariant, ...]))
    above = base(name)
    return own + (invariants(above) if above else ())


class SearchParameter(msgspec.Struct, frozen=True, kw_only=True):
    """What can be searched for.  https://hl7.org/fhir/R4/searchparameter.html"""

    url: str
    name: str
    code: str  #: as it stands in the query: "patient"
    type: str  #: token, reference, date, quantity, string, uri, composite, number, special
    base: tuple[str, ...]  #: the types it is for: ("Observation",), ("Resource",)
    expression: str = ""  #: FHIRPath, of all its types: "AllergyIntolerance.code | Condition.code"
    target: tuple[str, ...] = ()  #: of a reference: what it may point to
    comparator: tuple[str, ...] = ()
    modifier: tuple[str, ...] = ()
    component: tuple["SearchComponent", ...] = ()  #: of a composite


class SearchComponent(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a composite: the parameter's url, and where its value is looked for."""

    definition: str
    expression: str


@cache
def search_parameters(name: str) -> Mapping[str, SearchParameter]:
    """The search parameters of a resource type, by code; those of all types are among them.

    https://hl7.org/fhir/R4/searchparameter-registry.html
    """
    every = _search_parameters()
    bases = ("Resource", "DomainResource", name) if is_resource(name) else ()
    return MappingProxyType({each.code: each for base in bases for each in every.get(base, ())})


@cache
def compartment(name: str) -> Mapping[str, tuple[str, ...]]:
    """The types of a compartment, and the search parameters that put a resource in it.

    `compartment("Patient")["Observation"]` is `("subject", "performer")`; the compartment's own
    type may be there as `("{def}",)`. Empty for what is no compartment.
    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    raw = _section("compartments").get(name, b"{}")
    return MappingProxyType(msgspec.json.decode(raw, type=dict[str, tuple[str, ...]]))


@cache
def _search_parameters() -> dict[str, list[SearchParameter]]:
    found: dict[str, list[SearchParameter]] = {}
    for raw in _section("search_parameters").values():
        each = msgspec.json.decode(raw, type=learned(SearchParameter))
        for base in each.base:
            found.setdefault(base, []).append(each)
    return found


# --- files


class _Type(msgspec.Struct, frozen=True):
    kind: str
    base: str | None = None
    abstract: bool = False


class _Row(msgspec.Struct, frozen=True):
    """One element as the file has it."""

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
    attribute: bool = False  #: of the XML element: in JSON it has no companion
    content: str | None = None


_Named = tuple[str, _Row]  #: name below the type as R4 defines it, and the row

_GZIP = 31  #: zlib's wbits for a gzip header
_COMPANION = _Row(types=("Element",))


@cache
def _section(name: str) -> dict[str, msgspec.Raw]:
    """One distilled file, its values undecoded: most are never asked for."""
    packed = data.read(data.definitions(), f"{name}.json.gz")
    return msgspec.json.decode(zlib.decompress(packed, _GZIP), type=dict[str, msgspec.Raw])


@cache
def _types() -> dict[str, _Type]:
    return {
        name: msgspec.json.decode(raw, type=learned(_Type))
        for name, raw in _section("types").items()
    }


@cache
def _tree(name: str) -> dict[str, dict[str, _Named]]:
    """A type's elements: place of the parent below the type -> JSON name -> definition."""
    tree: dict[str, dict[str, _Named]] = {}
    rows = msgspec.json.decode(_section("elements")[name], type=learned(dict[str, _Row]))
    for place, row in rows.items():
        if place and row.max != "0":
            parent, _, last = place.rpartition(".")
            tree.setdefault(parent, {}).update(_spelled(last, place, row))
    return tree


def _spelled(last: str, place: str, row: _Row) -> dict[str, _Named]:
    """The JSON names of an element: itself, a choice's spellings, a primitive's companion."""
    names = {last: (place, row)}
    if last.endswith("[x]"):
        stem = last.removesuffix("[x]")
        for each in row.types:
            one = msgspec.structs.replace(row, types=(each,))
            names[f"{stem}{each[0].upper()}{each[1:]}"] = (place, one)
    if not row.attribute:
        companion = (place, msgspec.structs.replace(_COMPANION, max=row.max))
        extensible = [name for name, (_, each) in names.items() if _is_extensible(each)]
        names |= {f"_{name}": companion for name in extensible}
    return names


def _is_extensible(row: _Row) -> bool:
    """True of one primitive that JSON gives a companion; xhtml has none."""
    return len(row.types) == 1 and row.types[0] != "xhtml" and is_primitive(row.types[0])


# --- walking


def _plain(path: str) -> str:
    """A path without indices: `a[0].b` is `a.b`; `value[x]` stays."""
    return re.sub(r"\[\d+\]", "", path)


@lru_cache(maxsize=4096)
def _element(path: str) -> Element | None:
    parent, _, name = path.rpartition(".")
    if not parent:
        return _root(name)
    above = _element(parent)
    found = _below(above).get(name) if above else None
    return _as_element(path, _owner(above)[0], *found) if above and found else None


def _root(name: str) -> Element | None:
    """A type itself, as the element that holds it."""
    if name not in _types():
        return None
    return Element(path=name, defined=name, min=0, max=None, types=(name,))


def _below(parent: Element) -> dict[str, _Named]:
    """What may stand below an element, by JSON name: nothing below a choice or a primitive."""
    if len(parent.types) > 1 or any(map(is_primitive, parent.types)):
        return {}
    owner, place = _owner(parent)
    return _tree(owner).get(place, {})


def _owner(parent: Element) -> tuple[str, str]:
    """The type that defines an element's children, and their parent's place below that type."""
    if parent.content:
        owner, _, place = parent.content.partition(".")
        return owner, place
    owner, _, place = parent.defined.partition(".")
    if parent.path.rpartition(".")[2][0] != "_" and place in _tree(owner):
        return owner, place
    return (parent.profiles or parent.types)[0], ""


def _as_element(path: str, owner: str, place: str, row: _Row) -> Element:
    return Element(
        path=path,
        defined=f"{owner}.{place}",
        min=row.min,
        max=None if row.max == "*" else int(row.max),
        types=row.types,
        targets=_of_types(row.targets, row.types),
        profiles=_of_types(row.profiles, row.types),
        binding=row.binding,
        strength=row.strength,
        ceiling=row.ceiling,
        is_modifier=row.modifier,
        is_summary=row.summary,
        content=row.content,
    )


def _of_types(names: dict[str, tuple[str, ...]], types: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each for kind in types for each in names.get(kind, ()))
