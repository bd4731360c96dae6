"""The index rows of a resource.  https://hl7.org/fhir/R4/search.html

One walk over the elements that search parameters look at; paths that are more than element names
are evaluated with FHIRPath. A malformed resource raises nothing: what can be read is indexed.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from fhir_b12 import fhirpath
from fhir_b12.server.search.parameters import PARTS, Path, indexed, is_simple, routes
from fhir_b12.server.search.types import TYPES
from fhir_b12.server.search.types.parameter_type import Indexer, IndexWriter, RangeRow, TextRow
from fhir_b12.server.search.types.quantity import molar_mass


class IndexRows(NamedTuple):
    """The index rows of one resource."""

    texts: set[TextRow]
    ranges: set[RangeRow]


class _Branch:
    """An element that is indexed or has indexed elements below it."""

    __slots__ = ("children", "indexers")

    def __init__(self) -> None:
        self.children: dict[str, _Branch] = {}
        self.indexers: list[Indexer] = []


def extract_rows(
    resource: dict[str, Any], base: str, only: frozenset[int] | None = None
) -> IndexRows:
    """Return the index rows of a resource.

    Args:
        resource: the resource, as parsed.
        base: the base url of this server, without a slash at its end.
        only: index keys to extract; None for all.

    """
    resource_type = str(resource["resourceType"])
    tree, evaluated, numbered = _compiled(resource_type, only)
    is_observation = resource_type == "Observation"
    mass = molar_mass(resource.get("code")) if is_observation else None
    writer = IndexWriter(f"{base}/", mass)
    _walk(resource, tree, writer, 0, numbered)
    for element, expression, indexer_of in evaluated:
        if element and element not in resource:
            continue
        for value, leaf in _evaluate(expression, resource, resource_type):
            indexer_of(leaf)(writer, value, 0)
    return IndexRows(writer.texts, writer.ranges)


def _walk(
    element: dict[str, Any], branch: _Branch, writer: IndexWriter, part: int, numbered: str
) -> None:
    children = branch.children
    for name, value in element.items():
        child = children.get(name)
        if child is None:
            continue
        items = value if isinstance(value, list) else (value,)
        for index, item in enumerate(items):
            own = index + 1 if name == numbered and not part else part
            for indexer in child.indexers:
                indexer(writer, item, own)
            if child.children and isinstance(item, dict):
                _walk(item, child, writer, own, numbered)


#: an element without which the expression is empty ("" if unknown), and the indexer by value type
_Evaluated = tuple[str, fhirpath.Expression, Callable[[str], Indexer]]
_REQUIRED_ELEMENT = re.compile(r"\w+\.(extension(?=\()|\w+(?=\.where\())")


@cache
def _compiled(
    resource_type: str, only: frozenset[int] | None
) -> tuple[_Branch, tuple[_Evaluated, ...], str]:
    """Return the tree of a type, its FHIRPath expressions, and the name of its components."""
    tree, evaluated = _Branch(), []
    for path in indexed(resource_type):
        if only is not None and path.key not in only:
            continue
        if not is_simple(path.text):
            match = _REQUIRED_ELEMENT.match(path.text)
            element = match[1] if match else ""
            evaluated.append((element, fhirpath.compile(path.text), _indexer_by_type(path)))
            continue
        for names, leaf in routes(path.text):
            branch = tree
            for name in names:
                branch = branch.children.setdefault(name, _Branch())
            element_path = f"{resource_type}.{'.'.join(names)}"
            branch.indexers.append(TYPES[path.type].indexer(path, leaf, element_path))
    prefix = f"{resource_type}."
    numbered = next((name for path, name in PARTS.items() if path.startswith(prefix)), "")
    return tree, tuple(evaluated), numbered


def _indexer_by_type(path: Path) -> Callable[[str], Indexer]:
    return lambda leaf: TYPES[path.type].indexer(path, leaf, "")


def _evaluate(
    expression: fhirpath.Expression, resource: dict[str, Any], resource_type: str
) -> Iterator[tuple[Any, str]]:
    """Yield the values of an expression, with their types."""
    try:
        nodes = expression.locate(resource, resource_type, fhirpath.StandaloneEnvironment(resource))
    except (fhirpath.FhirPathError, AttributeError, TypeError, KeyError):
        return  # a malformed resource has no such value
    for node in nodes:
        if node.type == "Extension":  # R4 names the extension and means its value
            for name, value in node.value.items() if isinstance(node.value, dict) else ():
                if name.startswith("value"):
                    yield value, f"{name[5:6].lower()}{name[6:]}"
        else:
            yield node.value, node.type.removeprefix("System.")
