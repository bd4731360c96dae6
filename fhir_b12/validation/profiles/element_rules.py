"""The rules that a compiled profile adds to R4.  https://hl7.org/fhir/R4/profiling.html

`ElementRules` are the rules on one value; an `ElementGroup` holds the rules on all values of one
name: their number, and the slices that they belong to. Paths are built only for findings.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, Findings, prepend_path
from fhir_b12.validation.profiles.element_values import (
    ElementValue,
    SliceTest,
    ValueCheck,
    pair_companions,
)

Occurrence = tuple[str, int | None, ElementValue]  #: JSON name, index in its list, the value


class ElementRules:
    """The rules on one value and, through its groups, on its children."""

    __slots__ = (
        *("checks", "groups", "is_incomplete", "is_type_reported"),
        *("max", "min", "path", "profile", "types"),
    )

    def __init__(self, profile: str, path: str) -> None:
        self.profile = profile  #: url, for messages
        self.path = path  #: id of the element: "Observation.component:systolic.code"
        self.min = 0
        self.max: int | None = None
        self.types: tuple[str, ...] = ()  #: allowed types; empty if all of R4's are
        self.is_type_reported = False  #: whether another check reports a value of another type
        self.is_incomplete = False  #: whether it shares the groups of rules still being compiled
        self.checks: list[ValueCheck] = []
        self.groups: list[ElementGroup] = []

    def is_empty(self) -> bool:
        """Return True if it adds nothing to R4 but a cardinality."""
        return not (self.checks or self.groups or self.types or self.is_incomplete)

    def check_whole(self, item: ElementValue, context: ResourceContext, findings: Findings) -> None:
        """Check a value that has no parent; paths of findings start at the value."""
        for check in self.checks:
            check(item, context, findings)
        if isinstance(item.value, dict):
            for group in self.groups:
                group.check(item.value, context, findings)

    def check(self, occurrence: Occurrence, context: ResourceContext, findings: Findings) -> None:
        """Check a value and its children; paths of findings start at its parent."""
        name, index, item = occurrence
        if self.types and item.type not in self.types:
            self._report_type(occurrence, findings)
            return
        mark = len(findings)
        for check in self.checks:
            check(item, context, findings)
        node = item.value
        if self.groups and not isinstance(node, dict):
            if len(findings) > mark:
                _prepend(findings, mark, name, index)
            # a primitive without companion may lack a required extension
            mark, name, node = len(findings), f"_{name}", item.companion or {}
        if isinstance(node, dict):
            for group in self.groups:
                group.check(node, context, findings)
        if len(findings) > mark:
            _prepend(findings, mark, name, index)

    def _report_type(self, occurrence: Occurrence, findings: Findings) -> None:
        """Report a value of a type that is not allowed, and its parts that no allowed type has."""
        name, index, item = occurrence
        values: dict[str, Any] = {
            "allowed": ", ".join(self.types),
            "type": item.type,
            "path": self.path,
            "profile": self.profile,
        }
        if len(self.types) > 1:  # HL7's validator reports it at the parent
            findings.append(Finding("profile-types", **values))
            return
        mark = len(findings)
        if not self.is_type_reported:
            findings.append(Finding("profile-type", **values))
        if not (isinstance(item.value, dict) and "resourceType" in item.value):
            self._report_parts(item.value, values, findings)
        _prepend(findings, mark, name, index)

    def _report_parts(self, value: Any, values: dict[str, Any], findings: Findings) -> None:
        """Report the faults of a value when it is read as a value of the allowed type."""
        type_name = self.types[0]
        parts = dict.fromkeys(key.removeprefix("_") for key in value) if type(value) is dict else {}
        if R4.is_primitive(type_name):
            if "value" in parts:
                findings.append(Finding("profile-not-allowed", name="value", **values))
                del parts["value"]
        else:
            elements = (
                (name, R4.element(f"{type_name}.{name}")) for name in R4.children(type_name)
            )
            findings += [
                Finding("profile-min", name=name, min=1, present="", remedy="add it", **values)
                for name, element in elements
                if element is not None and element.min > 0 and name not in parts
            ]
        allowed = {*R4.children(type_name), "id", "extension"}
        findings += [
            Finding("profile-not-allowed", name, name=name, **values)
            for name in parts
            if name not in allowed
        ]


def _prepend(findings: Findings, mark: int, name: str, index: int | None) -> None:
    """Prepend the name and index of a value to the paths of its findings."""
    if index is None:
        prepend_path(findings, mark, name)
    else:
        prepend_path(findings, mark, name, index)


class ElementGroup:
    """The rules on all values of one name below an element."""

    __slots__ = ("_by_key", "base_max", "base_min", "keys", "name", "slicing", "targets", "whole")

    def __init__(self, name: str, keys: Sequence[tuple[str, str]], whole: ElementRules) -> None:
        """`keys` are the JSON names of the element, each with its type."""
        self.name = name  #: "component", "value[x]"
        #: JSON name, name of the companion and type; several for a choice
        self.keys = [(key, f"_{key}", type_name) for key, type_name in keys]
        self._by_key = {key: row for row in self.keys for key in row[:2]}
        self.whole = whole
        self.slicing: SlicingRules | None = None
        self.base_min = 0
        self.base_max: int | None = None
        self.targets: list[str] = []  #: of a Reference: the profiles of its targets

    def check(self, node: dict[str, Any], context: ResourceContext, findings: Findings) -> None:
        """Check all values of this name in an object; paths of findings start at the object."""
        occurrences = self._occurrences(node)
        whole, count = self.whole, len(occurrences)
        if self.base_min <= count < whole.min:
            findings.append(self._missing(count))
        elif whole.max is not None and whole.max < count <= (self.base_max or count):
            findings.append(self._too_many(count))
        if occurrences and (whole.checks or whole.groups or whole.types):
            for occurrence in occurrences:
                whole.check(occurrence, context, findings)
        if self.slicing is not None:
            self.slicing.check(occurrences, context, findings)

    def _missing(self, count: int) -> Finding:
        targets = " or ".join(url.rpartition("/")[2] for url in self.targets)
        return Finding(
            "profile-min",
            name=self.name,
            min=self.whole.min,
            present=f", {count} present" if count else "",
            remedy=f"add a reference to {targets}" if targets else "add it",
            profile=self.whole.profile,
        )

    def _too_many(self, count: int) -> Finding:
        whole = self.whole
        return Finding(
            "profile-max", name=self.name, max=whole.max, count=count, profile=whole.profile
        )

    def _occurrences(self, node: dict[str, Any]) -> list[Occurrence]:
        """Return the values of this name in an object."""
        occurrences: list[Occurrence] = []
        for name, companion_name, type_name in self._present_keys(node):
            value, companion = node.get(name), node.get(companion_name)
            if companion is None:
                if value is None:
                    continue
                if type_name == "Resource":
                    occurrences += _resources(name, value)
                elif isinstance(value, list):
                    occurrences += [
                        (name, index, ElementValue(part, None, type_name))
                        for index, part in enumerate(value)
                    ]
                else:
                    occurrences.append((name, None, ElementValue(value, None, type_name)))
            elif isinstance(value, list) or isinstance(companion, list):
                occurrences += [
                    (name, index, ElementValue(part, beside, type_name))
                    for index, (part, beside) in enumerate(pair_companions(value, companion))
                ]
            else:
                occurrences.append((name, None, ElementValue(value, companion, type_name)))
        return occurrences

    def _present_keys(self, node: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
        """Return the keys that may be in an object."""
        if len(self.keys) == 1:
            return self.keys
        return {self._by_key[name]: None for name in node if name in self._by_key}


def _resources(name: str, value: Any) -> Iterator[Occurrence]:
    """Yield resources within another, each with the type that it states."""
    is_list = isinstance(value, list)
    for index, resource in enumerate(value if is_list else [value]):
        is_object = isinstance(resource, dict)
        type_name = resource.get("resourceType", "Resource") if is_object else "Resource"
        yield name, index if is_list else None, ElementValue(resource, None, type_name)


class SliceRules:
    """One slice: the rules on its values, and the tests that identify them."""

    __slots__ = ("example", "fault", "name", "rules", "tests")

    def __init__(self, name: str, rules: ElementRules) -> None:
        self.name = name
        self.rules = rules
        self.tests: list[SliceTest] = []
        self.fault: str | None = None  #: why its values cannot be identified
        self.example = "a value that matches it"  #: what to add if it is required, for messages

    def matches(self, item: ElementValue, context: ResourceContext) -> bool:
        """Return True if a value belongs to this slice."""
        return all(test(item, context) for test in self.tests)


#: The numbers of the slices that a value matches.
SliceMatcher = Callable[[ElementValue, ResourceContext], list[int]]


class SlicingRules:
    """The slices of one element, and the rules on values that match none.

    https://hl7.org/fhir/R4/profiling.html#slicing
    """

    __slots__ = (
        *("faulty", "has_required", "match", "ordered", "path", "positions"),
        *("profile", "rules", "slices"),
    )

    def __init__(self, profile: str, path: str, rules: str, *, ordered: bool) -> None:
        self.profile = profile
        self.path = path
        self.rules = rules  #: "open", "closed" or "openAtEnd"
        self.ordered = ordered
        self.slices: list[SliceRules] = []
        self.match: SliceMatcher = self._match_each
        self.positions: list[range] | None = None  #: of each slice, if position identifies it
        self.faulty: SliceRules | None = None
        self.has_required = False  #: whether a slice is required

    def check(
        self, occurrences: list[Occurrence], context: ResourceContext, findings: Findings
    ) -> None:
        """Check all values of the element; paths of findings start at its parent."""
        if not occurrences and not self.has_required:
            return
        if self.faulty is not None and occurrences:
            self._report_fault(self.faulty, occurrences, findings)
            return
        counts = [0] * len(self.slices)
        order: list[int | None] = []
        for occurrence in occurrences:
            chosen = self._choose(occurrence, context, findings)
            order.append(chosen)
            if chosen is not None:
                self._count(chosen, counts)
                rules = self.slices[chosen].rules
                if rules.checks or rules.groups or rules.types:
                    rules.check(occurrence, context, findings)
            elif self.rules == "closed":
                _report(findings, occurrence, self._finding("profile-no-slice"))
        for slice_, count in zip(self.slices, counts, strict=True):
            max_ = slice_.rules.max
            if count < slice_.rules.min:
                findings.append(self._missing(slice_, count))
            elif max_ is not None and count > max_:
                findings.append(_too_many(slice_, count))
        if self.ordered or self.rules == "openAtEnd":
            self._check_order(occurrences, order, findings)

    def _finding(self, rule: str, **values: Any) -> Finding:
        return Finding(rule, path=self.path, profile=self.profile, **values)

    def _report_fault(
        self, faulty: SliceRules, occurrences: list[Occurrence], findings: Findings
    ) -> None:
        for occurrence in occurrences:
            finding = self._finding("profile-slicing", slice=faulty.name, reason=faulty.fault)
            _report(findings, occurrence, finding)

    def _missing(self, slice_: SliceRules, count: int) -> Finding:
        name = self.path.rpartition(".")[2]
        return Finding(
            "profile-slice-min",
            matches=f"only {count} {name} matches" if count else f"no {name} matches",
            slice=slice_.name,
            min=slice_.rules.min,
            example=slice_.example,
            profile=slice_.rules.profile,
        )

    def _match_each(self, item: ElementValue, context: ResourceContext) -> list[int]:
        return [
            number for number, slice_ in enumerate(self.slices) if slice_.matches(item, context)
        ]

    def _choose(
        self, occurrence: Occurrence, context: ResourceContext, findings: Findings
    ) -> int | None:
        """Return the slice of a value, the innermost one of nested slices; None if it has none."""
        if self.positions is not None:
            index = occurrence[1] or 0
            positions = enumerate(self.positions)
            return next((number for number, range_ in positions if index in range_), None)
        chosen: int | None = None
        for number in self.match(occurrence[2], context):
            name = self.slices[number].name
            if chosen is None or name.startswith(self.slices[chosen].name + "/"):
                chosen = number
            elif not self.slices[chosen].name.startswith(name + "/"):
                names = {"slice": self.slices[chosen].name, "other": name}
                _report(findings, occurrence, self._finding("profile-two-slices", **names))
        return chosen

    def _count(self, chosen: int, counts: list[int]) -> None:
        """Count a value for its slice and for the slices around that."""
        counts[chosen] += 1
        name = self.slices[chosen].name
        if "/" in name:
            for number, slice_ in enumerate(self.slices):
                if name.startswith(slice_.name + "/"):
                    counts[number] += 1

    def _check_order(
        self, occurrences: list[Occurrence], order: list[int | None], findings: Findings
    ) -> None:
        for index in range(1, len(order)):
            previous, current = order[index - 1], order[index]
            if current is None:
                continue
            if previous is None:
                if self.rules == "openAtEnd":
                    _report(findings, occurrences[index - 1], self._finding("profile-slice-end"))
            elif self.ordered and current < previous:
                _report(findings, occurrences[index], self._finding("profile-slice-order"))


def _too_many(slice_: SliceRules, count: int) -> Finding:
    return Finding(
        "profile-slice-max",
        slice=slice_.name,
        max=slice_.rules.max,
        count=count,
        profile=slice_.rules.profile,
    )


def _report(findings: Findings, occurrence: Occurrence, finding: Finding) -> None:
    """Append a finding that is located at a value."""
    findings.append(finding)
    _prepend(findings, len(findings) - 1, occurrence[0], occurrence[1])
