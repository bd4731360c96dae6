"""The smallest resource that still shows a fault, with nothing of a patient in it.

Delta debugging over the JSON tree, the validator being the judge: members and items go while the
fault stays, then what is left gets neutral values.  https://www.st.cs.uni-saarland.de/dd/
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.reports.file_results import rule_of

Path = tuple[str | int, ...]
Judge = Callable[[Any], list[Issue]]  #: what the validator finds in a value

_MOST_TRIALS = 4000
_ROUNDS = 6
_TYPE = "resourceType"
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T.*)?)?)?")


class Smallest(NamedTuple):
    """What came of it."""

    resource: Any
    kept: tuple[Path, ...]  #: places whose values could not be replaced: the fault needs them


def smallest(resource: Any, fault: Issue, judge: Judge) -> Smallest:
    """The smallest resource in which the judge finds the same fault and no error that is new."""
    return _Search(resource, fault, judge).run()


def _kind(issue: Issue) -> tuple[str, str, str]:
    """What makes two findings the same fault: rule, severity, the element's name."""
    name = issue.expression.rpartition(".")[2].partition("[")[0]
    return rule_of(issue), issue.severity, name


class _Search:
    def __init__(self, resource: Any, fault: Issue, judge: Judge) -> None:
        self._fault = _kind(fault)
        self._judge = judge
        self._allowed = {_kind(issue) for issue in judge(resource) if issue.is_error}
        self._allowed.add(self._fault)
        self._trials = 0
        self._root = self._lifted(resource, fault)
        self._original = self._root

    def run(self) -> Smallest:
        for _ in range(_ROUNDS):
            before = self._root
            self._shrink(())
            if self._root is before:
                break
        kept = tuple(self._neutralise())
        self._allowed = {self._fault}  # other errors of the input have served their time
        self._shrink(())
        held = set(_leaves(self._root))
        return Smallest(self._root, tuple(path for path in kept if path in held))

    def _shows(self, value: Any) -> bool:
        if self._trials >= _MOST_TRIALS:
            return False
        self._trials += 1
        found = self._judge(value)
        kinds = {_kind(issue) for issue in found}
        errors = {_kind(issue) for issue in found if issue.is_error}
        return self._fault in kinds and errors <= self._allowed

    def _lifted(self, resource: Any, fault: Issue) -> Any:
        """The entry of a Bundle the fault stands in, where it shows the fault by itself."""
        steps = (fault.pointer or "").split("/")
        if steps[1:2] == ["entry"] and steps[3:4] == ["resource"]:
            inner = _at(resource, ("entry", int(steps[2]), "resource"))
            if self._shows(inner):
                return inner
        return resource

    def _shrink(self, path: Path) -> None:
        """Take out what the fault does not need, the larger pieces first, then look inside."""
        self._halve(path, _keys(_at(self._root, path)))
        for key in _keys(_at(self._root, path)):
            if isinstance(_at(self._root, (*path, key)), dict | list):
                self._shrink((*path, key))

    def _halve(self, path: Path, keys: list[str | int]) -> None:
        if not keys or self._attempt(_without(self._root, path, keys)):
            return
        if len(keys) > 1:
            middle = len(keys) // 2
            self._halve(path, keys[middle:])  # from behind: indices before it stay
            self._halve(path, keys[:middle])

    def _attempt(self, candidate: Any) -> bool:
        if self._shows(candidate):
            self._root = candidate
            return True
        return False

    def _neutralise(self) -> Iterator[Path]:
        """Put neutral values in; equal strings change together, for they may name each other."""
        alike: dict[tuple[type, str], list[Path]] = {}
        for path, value in _leaves(self._root).items():
            if path[-1:] != (_TYPE,) and value is not None and not isinstance(value, dict | list):
                alike.setdefault((type(value), str(value)), []).append(path)
        for number, paths in enumerate(alike.values(), 1):
            if not self._replaced(paths, number):
                for path in paths:
                    if len(paths) == 1 or not self._replaced([path], number):
                        yield path

    def _replaced(self, paths: list[Path], number: int) -> bool:
        value = _at(self._root, paths[0])
        for neutral in _neutral(value, number):
            candidate = self._root
            for path in paths:
                candidate = _with(candidate, path, neutral)
            if neutral == value or self._attempt(candidate):
                return True
        return False


def _neutral(value: Any, number: int) -> Iterator[Any]:
    """Values of the same kind that say nothing, the plainest first."""
    if isinstance(value, bool):
        yield True
    elif isinstance(value, str):
        yield f"x{number}"
        if _DATE.fullmatch(value):
            yield (
                "2000-01-01T00:00:00Z"[: len(value)] if "T" not in value else "2000-01-01T00:00:00Z"
            )
        if ":" in value:
            yield f"http://example.org/x{number}"
        if "/" in value:
            kind = value.partition("/")[0]
            known = kind if R4.is_resource(kind) else "Patient"
            yield f"{known}/x{number}"
        blank = _LETTER.sub("x", value)
        yield _DIGIT.sub("0", blank)
        yield from (blank, _DIGIT.sub("0", value)) if _DIGIT.search(value) else ()
    else:
        yield 1
        yield 0
        yield -1


def _keys(node: Any) -> list[str | int]:
    if isinstance(node, dict):
        return [key for key in node if key != _TYPE]
    return list(range(len(node))) if isinstance(node, list) else []


def _at(node: Any, path: Path) -> Any:
    for key in path:
        node = node[key]
    return node


def _with(node: Any, path: Path, value: Any) -> Any:
    """A copy of the tree with another value at a path."""
    if not path:
        return value
    copy = node.copy()
    copy[path[0]] = _with(node[path[0]], path[1:], value)
    return copy


def _without(root: Any, path: Path, keys: list[str | int]) -> Any:
    """A copy of the tree without some members or items of the node at a path."""
    node = _at(root, path)
    gone = set(keys)
    left: Any
    if isinstance(node, dict):
        left = {key: value for key, value in node.items() if key not in gone}
    else:
        left = [value for i, value in enumerate(node) if i not in gone]
    return _with(root, path, left)


def _leaves(node: Any, path: Path = ()) -> dict[Path, Any]:
    """Every value that holds no other, by its path."""
    if isinstance(node, dict | list) and node:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        return {k: v for key, each in items for k, v in _leaves(each, (*path, key)).items()}
    return {path: node}
