"""Whether a table reads a resource: its `when` and `refuse` lines as functions of plain JSON."""

from collections.abc import Callable, Iterator
from typing import Any

from fhir_b12 import canonical, codes
from fhir_b12.datatypes import CodeableConcept, Coding

Test = Callable[[Any], bool]


def at(node: Any, path: tuple[str, ...]) -> Any:
    """The value at an element path, None where there is none or a list stands in between."""
    for name in path:
        if node.__class__ is not dict:
            return None
        node = node.get(name)
    return node


def compile_when(blocks: tuple[dict[str, dict[str, Any]], ...]) -> Test:
    """True for a resource for which every line of one block holds; of no block, for any."""
    if not blocks:
        return lambda _: True
    compiled = [
        [(tuple(path.split(".")), _test(test)) for path, test in block.items()] for block in blocks
    ]

    def holds(resource: Any) -> bool:
        return any(all(test(at(resource, path)) for path, test in block) for block in compiled)

    return holds


def _test(test: dict[str, Any]) -> Test:
    if "coded" in test:
        wanted = frozenset(tuple(pair.split("|", 1)) for pair in test["coded"])
        return lambda node: any(pair in wanted for pair in _pairs(node))
    if "known" in test:
        table = test["known"]
        return lambda node: any(_find(table, concept) for concept in _concepts(node))
    if "key" in test:
        table, _, key = test["key"].partition(".")
        return lambda node: any(_find(table, concept) == key for concept in _concepts(node))
    present = test["present"]
    return lambda node: (node is not None) is present


def compile_refuse(lines: dict[str, tuple[str, ...]]) -> Callable[[Any], str | None]:
    """The path of a value that forbids reading, or None."""
    compiled = [(path, tuple(path.split(".")), frozenset(codes)) for path, codes in lines.items()]

    def refused(resource: Any) -> str | None:
        for path, steps, wanted in compiled:
            node = at(resource, steps)
            if node.__class__ is str:
                if node in wanted:
                    return path
            elif node is not None and any(code in wanted for _, code in _pairs(node)):
                return path
        return None

    return refused


def _items(node: Any) -> Iterator[dict[str, Any]]:
    for item in node if node.__class__ is list else (node,):
        if item.__class__ is dict:
            yield item


def _pairs(node: Any) -> Iterator[tuple[Any, Any]]:
    aliases = canonical.systems()
    for concept in _items(node):
        for coding in _items(concept.get("coding")):
            system, code = coding.get("system"), coding.get("code")
            if system.__class__ is str and code.__class__ is str:
                yield aliases.get(system, system), code


def _concepts(node: Any) -> Iterator[CodeableConcept]:
    for concept in _items(node):
        text = concept.get("text")
        yield CodeableConcept(
            coding=tuple(Coding(system=system, code=code) for system, code in _pairs(concept)),
            text=text if text.__class__ is str else None,
        )


def _find(table: str, concept: CodeableConcept) -> str | None:
    entry = codes.table(table).find(concept)
    return None if entry is None else entry.key
