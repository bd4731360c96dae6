"""The `when` and `refuse` conditions of a table, compiled to functions of plain JSON."""

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
    """Return a function that is true for a resource that meets all conditions of one block.

    Without blocks it is true for every resource.
    """
    if not blocks:
        return lambda _: True
    compiled = [
        [(tuple(path.split(".")), _compile_test(test)) for path, test in block.items()]
        for block in blocks
    ]

    def is_met(resource: Any) -> bool:
        for block in compiled:
            for path, test in block:
                node = resource.get(path[0]) if len(path) == 1 else at(resource, path)
                if not test(node):
                    break
            else:
                return True
        return False

    return is_met


def _compile_test(test: dict[str, Any]) -> Test:
    if "coded" in test:
        coded = frozenset(tuple(pair.split("|", 1)) for pair in test["coded"])
        return lambda node: node is not None and not coded.isdisjoint(_pairs(node))
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
    """Return a test for a concept that means a row of a code table; any row if `key` is None."""

    def means(node: Any) -> bool:
        if node is None:
            return False
        table, pairs = codes.table(name), _pairs(node)
        if len(pairs) == 1 and (entry := table.by_code.get(pairs[0])) is not None:
            return key is None or entry.key == key
        entries = [table.find(concept) for concept in _concepts(node)]
        return any(entry is not None and (key is None or entry.key == key) for entry in entries)

    return means


def _silent(name: str, key: str) -> Test:
    """Return a test for a concept that means no other row of a code table, by code or text."""
    others = [entry for entry in codes.table(name) if entry.key != key]
    words = {word for entry in others for word in entry.spellings}
    named = re.compile(rf"(?<![a-z])(?:{'|'.join(map(re.escape, sorted(words)))})(?![a-z])")

    def silent(node: Any) -> bool:
        texts = [node] if node.__class__ is str else _texts(node)
        if any(named.search(text.lower()) for text in texts):
            return False
        entries = [codes.table(name).find(concept) for concept in _concepts(node)]
        return all(entry is None or entry.key == key for entry in entries)

    return silent


def _texts(node: Any) -> list[str]:
    concepts = [item for item in _items(node) if item.__class__ is dict]
    codings = [coding for concept in concepts for coding in _items(concept.get("coding"))]
    texts = [concept.get("text") for concept in concepts]
    texts += [coding.get("display") for coding in codings if coding.__class__ is dict]
    return [text for text in texts if text.__class__ is str]


def compile_refuse(lines: dict[str, tuple[str, ...]]) -> Callable[[Any], str | None]:
    """Return a function that returns the path of a refused value, None if none."""
    compiled = [(path, tuple(path.split(".")), frozenset(codes)) for path, codes in lines.items()]

    def refused(resource: Any) -> str | None:
        for path, steps, withdrawn in compiled:
            node = at(resource, steps)
            if node is not None and any(text in withdrawn for text in _codes_and_text(node)):
                return path
        return None

    return refused


def _codes_and_text(node: Any) -> Iterator[str]:
    """Yield a code, or every code of a concept whatever its system, and its text."""
    if node.__class__ is str:
        yield node
        return
    for concept in _items(node):
        if concept.__class__ is dict:
            for text in (concept.get("text"), *_codes(concept)):
                if text.__class__ is str:
                    yield text.strip().lower()


def _codes(concept: dict[str, Any]) -> Iterator[Any]:
    for coding in _items(concept.get("coding")):
        if coding.__class__ is dict:
            yield coding.get("code")


def _items(node: Any) -> Any:
    return node if node.__class__ is list else (node,)


def _pairs(node: Any) -> list[Pair]:
    """Return (system, code) of every coding in a concept or a list of concepts."""
    system_aliases = aliases.systems()
    pairs: list[Pair] = []
    for concept in _items(node):
        if concept.__class__ is dict:
            for coding in _items(concept.get("coding")):
                if coding.__class__ is dict:
                    system, code = coding.get("system"), coding.get("code")
                    if system.__class__ is str and code.__class__ is str:
                        pairs.append((system_aliases.get(system, system), code))
    return pairs


def _concepts(node: Any) -> Iterator[CodeableConcept]:
    """Yield every valid concept; invalid ones are skipped."""
    for concept in _items(node):
        try:
            yield convert(concept, CodeableConcept)
        except msgspec.ValidationError:
            continue
