"""The search parameters of R4, made of the paths that are indexed for them.

https://hl7.org/fhir/R4/searchparameter-registry.html

The index is kept by path, so that parameters that look at the same place share its rows: `subject`
and `patient`, `value-quantity` and `combo-value-quantity`.
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
#: asked of the resource's own columns, or not answered
_COLUMNS = {"_id", "_lastUpdated"}
UNANSWERED = {"_content", "_text", "_query", "_list", "_filter", "near"}
#: elements with a code and a value that belong together
PARTS = MappingProxyType({
    "Observation.component": "component", "Group.characteristic": "characteristic",
})  # fmt: skip


class Path(msgspec.Struct, frozen=True):
    """A place whose values are indexed, and which of them count for a parameter."""

    text: str  #: "Observation.subject", "Observation.value.as(Quantity)"
    kind: str  #: of the parameter: token, date, ...
    target: str = ""  #: only references to this type
    key: int = 0  #: by which its rows are found


class Parameter(msgspec.Struct, frozen=True):
    """One search parameter of one type."""

    code: str
    kind: str
    paths: tuple[Path, ...]
    targets: tuple[str, ...] = ()
    components: tuple["Parameter", ...] = ()  #: of a composite

    @property
    def keys(self) -> tuple[int, ...]:
        """The keys of its paths."""
        return tuple(path.key for path in self.paths)


def key_of(text: str, kind: str, aspect: str = "") -> int:
    """The number by which rows of a path are found, the same in every database.

    `aspect` is another look at the same values: "text" of codes, "of-type" of identifiers.
    """
    whole = f"{text}#{kind}#{aspect}".encode()
    return int.from_bytes(blake2b(whole, digest_size=4).digest()) >> 1


@cache
def parameters(kind: str) -> Mapping[str, Parameter]:
    """The parameters of a type that can be searched by, without `_id` and `_lastUpdated`."""
    found = {
        code: _parameter(kind, each)
        for code, each in R4.search_parameters(kind).items()
        if code not in _COLUMNS | UNANSWERED
    }
    # R4 gives two parameters of Patient no expression that begins there
    return MappingProxyType({code: each for code, each in found.items() if each.paths})


def _parameter(kind: str, each: SearchParameter) -> Parameter:
    paths = tuple(_paths(kind, each.expression, each.type))
    parts: tuple[Parameter, ...] = ()
    if each.type == "composite":
        bases = [path.text for path in paths]
        parts = tuple(
            _component(kind, bases, part.definition, part.expression) for part in each.component
        )
    return Parameter(each.code, each.type, paths, each.target, parts)


def _component(kind: str, bases: list[str], url: str, expression: str) -> Parameter:
    """A part of a composite, looked for below each of its bases."""
    known = (
        next(each for each in R4.search_parameters(kind).values() if each.url == url)
        if any(each.url == url for each in R4.search_parameters(kind).values())
        else None
    )
    what = known.type if known is not None else "token"
    whole = " | ".join(f"{base}.{part.strip()}" for base in bases for part in expression.split("|"))
    return Parameter(url, what, tuple(_paths(kind, whole, what)))


def _paths(kind: str, expression: str, what: str) -> Iterator[Path]:
    """The alternatives of an expression that are of this type."""
    for part in _alternatives(expression):
        text = _CAST.sub(r"\1.as(\2)", part.strip())
        owner = text.partition(".")[0]
        if owner in {"Resource", "DomainResource"}:
            text = kind + text[len(owner) :]
        elif owner != kind:
            continue
        found = _WHERE_TYPE.search(text)
        text = _WHERE_TYPE.sub("", text)
        yield Path(text, what, found[1] if found else "", key_of(text, what))


def _alternatives(expression: str) -> list[str]:
    """Split at the `|` that stand outside of parentheses."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(expression):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and not depth:
            parts.append(expression[start:at])
            start = at + 1
    return [*parts, expression[start:]]


def is_simple(path: str) -> bool:
    """True of names and casts alone, which need no FHIRPath to be walked."""
    return _SIMPLE.match(path) is not None


@cache
def indexed(kind: str) -> tuple[Path, ...]:
    """Every path of a type that is indexed, each once."""
    found: dict[int, Path] = {}
    for each in parameters(kind).values():
        for part in (each, *each.components):
            if part.kind != "composite":
                for path in part.paths:
                    found.setdefault(path.key, msgspec.structs.replace(path, target=""))
    return tuple(found.values())


@cache
def routes(path: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """The JSON names that lead along a simple path, and the type at their end.

    `Observation.value` leads along each of its spellings, `.as(Quantity)` along one.
    """
    first, *steps = path.replace(".as(", ".\0").split(".")
    found: list[tuple[tuple[str, ...], str, str]] = [((), first, first)]
    for step in steps:
        if step[0] == "\0":
            wanted = step[1:-1]
            # R4 writes `DateTime` for dateTime once
            found = [row for row in found if row[2].lower() == wanted.lower()]
            continue
        found = [
            ((*names, name), f"{place}.{name}", kind)
            for names, place, _ in found
            for name, kind in _spellings(place, step)
        ]
    return tuple((names, kind) for names, _, kind in found)


def _spellings(place: str, step: str) -> Iterator[tuple[str, str]]:
    known = R4.element(f"{place}.{step}")
    if known is not None:
        yield step, known.types[0] if known.types else "BackboneElement"
        return
    choice = R4.element(f"{place}.{step}[x]")
    for kind in choice.types if choice is not None else ():
        yield f"{step}{kind[0].upper()}{kind[1:]}", kind
