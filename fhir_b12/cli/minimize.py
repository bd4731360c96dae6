"""`--minimal`: the smallest resource that still shows a finding, without patient data.

Delta debugging of the JSON tree with the validator as oracle: members and items are removed while
the finding remains, then values are replaced by neutral ones.  https://www.st.cs.uni-saarland.de/dd/
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.reports.file_results import rule_id

Path = tuple[str | int, ...]
Validate = Callable[[Any], list[Issue]]  #: function that returns the issues of a value
_FindingKey = tuple[str, str, str]  #: rule, severity, name of the element

_MAX_TRIALS = 4000
_MAX_ROUNDS = 6
_TYPE = "resourceType"
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T.*)?)?)?")


class MinimizedResource(NamedTuple):
    """The smallest resource, and the paths of values that could not be made neutral."""

    resource: Any
    original_values: tuple[Path, ...]  #: the finding depends on these values


def minimize(resource: Any, issue: Issue, validate: Validate) -> MinimizedResource:
    """Return the smallest resource in which an issue remains and no new error occurs.

    Args:
        resource: a resource, or a Bundle; of a Bundle one entry alone, if it shows the issue.
        issue: one of the issues of the resource.
        validate: function that returns the issues of a value.

    """
    return _Minimizer(resource, issue, validate).run()


def _finding_key(issue: Issue) -> _FindingKey:
    """Return what identifies a finding although its path changes."""
    name = issue.expression.rpartition(".")[2].partition("[")[0]
    return rule_id(issue), issue.severity, name


class _Minimizer:
    def __init__(self, resource: Any, issue: Issue, validate: Validate) -> None:
        self._finding = _finding_key(issue)
        self._validate = validate
        self._allowed = {_finding_key(other) for other in validate(resource) if other.is_error}
        self._allowed.add(self._finding)
        self._trials = 0
        self._root = self._extract_entry(resource, issue)

    def run(self) -> MinimizedResource:
        for _ in range(_MAX_ROUNDS):
            before = self._root
            self._shrink(())
            if self._root is before:
                break
        original_values = tuple(self._neutralize())
        self._allowed = {self._finding}  # other errors of the input need not remain
        self._shrink(())
        leaves = set(_leaves(self._root))
        return MinimizedResource(
            self._root, tuple(path for path in original_values if path in leaves)
        )

    def _shows_finding(self, value: Any) -> bool:
        """Return whether a value has the finding and no error that the input did not have."""
        if self._trials >= _MAX_TRIALS:
            return False
        self._trials += 1
        issues = self._validate(value)
        keys = {_finding_key(issue) for issue in issues}
        errors = {_finding_key(issue) for issue in issues if issue.is_error}
        return self._finding in keys and errors <= self._allowed

    def _extract_entry(self, resource: Any, issue: Issue) -> Any:
        """Return the resource of the Bundle entry with the issue, if it shows it by itself."""
        parts = (issue.pointer or "").split("/")
        if parts[1:2] == ["entry"] and parts[3:4] == ["resource"]:
            inner = _at(resource, ("entry", int(parts[2]), "resource"))
            if self._shows_finding(inner):
                return inner
        return resource

    def _shrink(self, path: Path) -> None:
        """Remove what the finding does not need, larger parts first, then descend."""
        self._remove_keys(path, _keys(_at(self._root, path)))
        for key in _keys(_at(self._root, path)):
            if isinstance(_at(self._root, (*path, key)), dict | list):
                self._shrink((*path, key))

    def _remove_keys(self, path: Path, keys: list[str | int]) -> None:
        """Remove keys of the node at a path: all at once, else each half by itself."""
        if not keys or self._try(_without(self._root, path, keys)):
            return
        if len(keys) > 1:
            middle = len(keys) // 2
            self._remove_keys(path, keys[middle:])  # from the end: indices before it stay valid
            self._remove_keys(path, keys[:middle])

    def _try(self, candidate: Any) -> bool:
        if self._shows_finding(candidate):
            self._root = candidate
            return True
        return False

    def _neutralize(self) -> Iterator[Path]:
        """Replace values by neutral ones; yield the paths where the finding needs the original.

        Equal strings are replaced together, because they may refer to each other.
        """
        equal: dict[tuple[type, str], list[Path]] = {}
        for path, value in _leaves(self._root).items():
            if path[-1:] != (_TYPE,) and value is not None and not isinstance(value, dict | list):
                equal.setdefault((type(value), str(value)), []).append(path)
        for number, paths in enumerate(equal.values(), 1):
            if not self._replace(paths, number):
                for path in paths:
                    if len(paths) == 1 or not self._replace([path], number):
                        yield path

    def _replace(self, paths: list[Path], number: int) -> bool:
        value = _at(self._root, paths[0])
        for neutral in _neutral_values(value, number):
            candidate = self._root
            for path in paths:
                candidate = _with(candidate, path, neutral)
            if neutral == value or self._try(candidate):
                return True
        return False


def _neutral_values(value: Any, number: int) -> Iterator[Any]:
    """Yield values of the same type without information, the simplest first."""
    if isinstance(value, bool):
        yield True
    elif isinstance(value, str):
        yield f"x{number}"
        if _DATE.fullmatch(value):
            length = len("2000-01-01T00:00:00Z") if "T" in value else len(value)
            yield "2000-01-01T00:00:00Z"[:length]
        if ":" in value:
            yield f"http://example.org/x{number}"
        if "/" in value:
            resource_type = value.partition("/")[0]
            known = resource_type if R4.is_resource(resource_type) else "Patient"
            yield f"{known}/x{number}"
        letters_masked = _LETTER.sub("x", value)
        yield _DIGIT.sub("0", letters_masked)
        if _DIGIT.search(value):
            yield letters_masked
            yield _DIGIT.sub("0", value)
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
    """Return a copy of a tree with another value at a path."""
    if not path:
        return value
    copy = node.copy()
    copy[path[0]] = _with(node[path[0]], path[1:], value)
    return copy


def _without(root: Any, path: Path, keys: list[str | int]) -> Any:
    """Return a copy of a tree without some members or items of the node at a path."""
    node = _at(root, path)
    removed = set(keys)
    rest: Any
    if isinstance(node, dict):
        rest = {key: value for key, value in node.items() if key not in removed}
    else:
        rest = [value for i, value in enumerate(node) if i not in removed]
    return _with(root, path, rest)


def _leaves(node: Any, path: Path = ()) -> dict[Path, Any]:
    """Return every primitive, empty object and empty list by its path."""
    if isinstance(node, dict | list) and node:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        return {k: v for key, child in items for k, v in _leaves(child, (*path, key)).items()}
    return {path: node}
