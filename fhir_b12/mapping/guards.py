"""Whether a table reads a resource: its `when` and `refuse` lines as functions of plain JSON."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from fhir_b12 import aliases, codes
from fhir_b12.datatypes import CodeableConcept, convert
from fhir_b12.paths import at

Test = Callable[[Any], bool]
Pair = tuple[Any, Any]  # system, code


def compile_when(blocks: tuple[dict[str, dict[str, Any]], ...]) -> Test:
    """True for a resource for which every line of one block holds; of no block, for any."""
    if not blocks:
        return lambda _: True
    compiled = [
        [(tuple(path.split(".")), _test(test)) for path, test in block.items()] for block in blocks
    ]

    def holds(resource: Any) -> bool:
        for block in compiled:
            for path, test in block:
                node = resource.get(path[0]) if len(path) == 1 else at(resource, path)
                if not test(node):
                    break
            else:
                return True
        return False

    return holds


def _test(test: dict[str, Any]) -> Test:
    if "coded" in test:
        wanted = frozenset(tuple(pair.split("|", 1)) for pair in test["coded"])
        return lambda node: node is not None and not wanted.isdisjoint(_pairs(node))
    if "known" in test:
        return _meaning(test["known"], None)
    if "key" in test:
        name, _, key = test["key"].partition(".")
        return _meaning(name, key)
    if "silent" in test:
        return _silent(*test["silent"].split("."))
    present = test["present"]
    return lambda node: (node is not None and node != {}) is present


def _meaning(name: str, key: str | None) -> Test:
    """True where a concept means this row of a code table, or any row."""

    def means(node: Any) -> bool:
        if node is None:
            return False
        table, pairs = codes.table(name), _pairs(node)
        if len(pairs) == 1 and (entry := table.by_code.get(pairs[0])) is not None:
            return key is None or entry.key == key
        found = [table.find(concept) for concept in _concepts(node)]
        return any(entry is not None and (key is None or entry.key == key) for entry in found)

    return means


def _silent(name: str, key: str) -> Test:
    """True where a text or concept names no other row of a code table than this one."""
    others = [each for each in codes.table(name) if each.key != key]
    words = {word for each in others for word in each.spellings}
    named = re.compile(rf"(?<![a-z])(?:{'|'.join(map(re.escape, sorted(words)))})(?![a-z])")

    def silent(node: Any) -> bool:
        said = [node] if node.__class__ is str else _words(node)
        if any(named.search(text.lower()) for text in said):
            return False
        found = [codes.table(name).find(concept) for concept in _concepts(node)]
        return all(entry is None or entry.key == key for entry in found)

    return silent


def _words(node: Any) -> list[str]:
    concepts = [each for each in _items(node) if each.__class__ is dict]
    codings = [each for concept in concepts for each in _items(concept.get("coding"))]
    texts = [concept.get("text") for concept in concepts]
    texts += [coding.get("display") for coding in codings if coding.__class__ is dict]
    return [text for text in texts if text.__class__ is str]


def compile_refuse(lines: dict[str, tuple[str, ...]]) -> Callable[[Any], str | None]:
    """The path of a value that forbids reading, or None."""
    compiled = [(path, tuple(path.split(".")), frozenset(codes)) for path, codes in lines.items()]

    def refused(resource: Any) -> str | None:
        for path, steps, wanted in compiled:
            node = at(resource, steps)
            if node is not None and any(said in wanted for said in _said(node)):
                return path
        return None

    return refused


def _said(node: Any) -> Iterator[str]:
    """A code, or each code of a concept whatever its system, and its words."""
    if node.__class__ is str:
        yield node
        return
    for concept in _items(node):
        if concept.__class__ is dict:
            for each in (concept.get("text"), *_codes(concept)):
                if each.__class__ is str:
                    yield each.strip().lower()


def _codes(concept: dict[str, Any]) -> Iterator[Any]:
    for coding in _items(concept.get("coding")):
        if coding.__class__ is dict:
            yield coding.get("code")


def _items(node: Any) -> Any:
    return node if node.__class__ is list else (node,)


def _pairs(node: Any) -> list[Pair]:
    """(system, code) of each coding in a concept or a list of concepts, whatever else is there."""
    system_aliases = aliases.systems()
    found: list[Pair] = []
    for concept in _items(node):
        if concept.__class__ is dict:
            for coding in _items(concept.get("coding")):
                if coding.__class__ is dict:
                    system, code = coding.get("system"), coding.get("code")
                    if system.__class__ is str and code.__class__ is str:
                        found.append((system_aliases.get(system, system), code))
    return found


def _concepts(node: Any) -> Iterator[CodeableConcept]:
    """Each concept that is one, however wrong the others are."""
    for concept in _items(node):
        try:
            yield convert(concept, CodeableConcept)
        except msgspec.ValidationError:
            continue
