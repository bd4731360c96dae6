"""The search parameters of R4 and the element paths that are indexed for them.

https://hl7.org/fhir/R4/searchparameter-registry.html

The index is by path, so that parameters of the same path share its rows: `subject` and `patient`,
`value-quantity` and `combo-value-quantity`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from types import MappingProxyType

import msgspec

from fhir_b12.definitions import R4, SearchParameter

_CAST = re.compile(r"\((\S+) as (\w+)\)")
_WHERE_TYPE = re.compile(r"\.where\(resolve\(\) is (\w+)\)\Z")
_SIMPLE = re.compile(r"\w+(?:\.as\(\w+\)|\.\w+)*\Z")
_COLUMNS = {"_id", "_lastUpdated"}  #: columns of the resource, not indexed
UNSUPPORTED = {"_content", "_text", "_query", "_list", "_filter", "near"}
#: elements whose items hold a code and a value that belong together
PARTS = MappingProxyType({
    "Observation.component": "component", "Group.characteristic": "characteristic",
})  # fmt: skip


class Path(msgspec.Struct, frozen=True):
    """An element path whose values are indexed, and which of them a parameter looks at."""

    text: str  #: "Observation.subject", "Observation.value.as(Quantity)"
    type: str  #: of the parameter: token, date, ...
    target: str = ""  #: only references to this resource type
    key: int = 0  #: index key


class Parameter(msgspec.Struct, frozen=True):
    """One search parameter of one resource type."""

    code: str
    type: str  #: https://hl7.org/fhir/R4/valueset-search-param-type.html
    paths: tuple[Path, ...]
    targets: tuple[str, ...] = ()  #: resource types that a reference may have
    components: tuple["Parameter", ...] = ()  #: of a composite

    @property
    def keys(self) -> tuple[int, ...]:
        """The index keys of the paths."""
        return tuple(path.key for path in self.paths)

    def keys_of(self, aspect: str) -> tuple[int, ...]:
        """Return the index keys of an aspect of the paths: "text", "of-type", "identifier"."""
        return tuple(index_key(path.text, path.type, aspect) for path in self.paths)


def index_key(path: str, parameter_type: str, aspect: str = "") -> int:
    """Return the number of a path in the index, the same in every database.

    Args:
        path: the element path.
        parameter_type: the type of the search parameter.
        aspect: other rows of the same values: "text" of codes, "of-type" of identifiers.

    """
    text = f"{path}#{parameter_type}#{aspect}".encode()
    return int.from_bytes(blake2b(text, digest_size=4).digest()) >> 1


@cache
def parameters(resource_type: str) -> Mapping[str, Parameter]:
    """Return the indexed search parameters of a type by code."""
    supported = {
        code: _parameter(resource_type, definition)
        for code, definition in R4.search_parameters(resource_type).items()
        if code not in _COLUMNS | UNSUPPORTED
    }
    # R4 gives two parameters of Patient an expression of other types only
    return MappingProxyType({code: known for code, known in supported.items() if known.paths})


@cache
def parameter_names(resource_type: str) -> tuple[str, ...]:
    """Return the codes of all supported search parameters of a type."""
    return (*sorted(_COLUMNS), *parameters(resource_type))


@cache
def compartment_keys(owner_type: str, resource_type: str) -> frozenset[int]:
    """Return the index keys of the references that put a resource in a compartment.

    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    known = parameters(resource_type)
    codes = R4.compartment(owner_type).get(resource_type, ())
    return frozenset(key for code in codes if code in known for key in known[code].keys)


def _parameter(resource_type: str, definition: SearchParameter) -> Parameter:
    paths = tuple(_paths(resource_type, definition.expression, definition.type))
    components: tuple[Parameter, ...] = ()
    if definition.type == "composite":
        bases = [path.text for path in paths]
        components = tuple(
            _component(resource_type, bases, part.definition, part.expression)
            for part in definition.component
        )
    return Parameter(definition.code, definition.type, paths, definition.target, components)


def _component(resource_type: str, bases: list[str], url: str, expression: str) -> Parameter:
    """Return a component of a composite, with its paths below each base."""
    known = R4.search_parameters(resource_type).values()
    parameter_type = next((item.type for item in known if item.url == url), "token")
    whole = " | ".join(f"{base}.{part.strip()}" for base in bases for part in expression.split("|"))
    return Parameter(url, parameter_type, tuple(_paths(resource_type, whole, parameter_type)))


def _paths(resource_type: str, expression: str, parameter_type: str) -> Iterator[Path]:
    """Yield the alternatives of an expression that are of this resource type."""
    for part in _alternatives(expression):
        text = _CAST.sub(r"\1.as(\2)", part.strip())
        owner = text.partition(".")[0]
        if owner in {"Resource", "DomainResource"}:
            text = resource_type + text[len(owner) :]
        elif owner != resource_type:
            continue
        match = _WHERE_TYPE.search(text)
        text = _WHERE_TYPE.sub("", text)
        target = match[1] if match else ""
        yield Path(text, parameter_type, target, index_key(text, parameter_type))


def _alternatives(expression: str) -> list[str]:
    """Split an expression at each `|` outside parentheses."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(expression):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and not depth:
            parts.append(expression[start:index])
            start = index + 1
    return [*parts, expression[start:]]


def is_simple(path: str) -> bool:
    """Return True if a path has element names and casts only, and needs no FHIRPath."""
    return _SIMPLE.match(path) is not None


@cache
def indexed(resource_type: str) -> tuple[Path, ...]:
    """Return every indexed path of a type once."""
    paths: dict[int, Path] = {}
    for parameter in parameters(resource_type).values():
        for part in (parameter, *parameter.components):
            if part.type != "composite":
                for path in part.paths:
                    paths.setdefault(path.key, msgspec.structs.replace(path, target=""))
    return tuple(paths.values())


@cache
def routes(path: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return the JSON names along a simple path, and the type at its end, for each choice type.

    `Observation.value` has a route for each of its types, `.as(Quantity)` has one.
    """
    first, *steps = path.replace(".as(", ".\0").split(".")
    partial: list[tuple[tuple[str, ...], str, str]] = [((), first, first)]
    for step in steps:
        if step[0] == "\0":
            cast = step[1:-1]
            # R4 writes `DateTime` for dateTime once
            partial = [row for row in partial if row[2].lower() == cast.lower()]
            continue
        partial = [
            ((*names, name), f"{element}.{name}", element_type)
            for names, element, _ in partial
            for name, element_type in _spellings(element, step)
        ]
    return tuple((names, element_type) for names, _, element_type in partial)


def _spellings(element: str, step: str) -> Iterator[tuple[str, str]]:
    known = R4.element(f"{element}.{step}")
    if known is not None:
        yield step, known.types[0] if known.types else "BackboneElement"
        return
    choice = R4.element(f"{element}.{step}[x]")
    for choice_type in choice.types if choice is not None else ():
        yield f"{step}{choice_type[0].upper()}{choice_type[1:]}", choice_type
