"""Compilation of a snapshot into the rules that it adds to R4.  https://hl7.org/fhir/R4/profiling.html

R4's own rules are checked elsewhere and left out here. An element to which the profile adds nothing
gets no rules at all.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, Protocol

from fhir_b12.definitions import R4, Element
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Findings
from fhir_b12.validation.profiles import errata, value_checks
from fhir_b12.validation.profiles.element_rules import (
    ElementGroup,
    ElementRules,
    SliceRules,
    SlicingRules,
)
from fhir_b12.validation.profiles.element_values import ElementValue
from fhir_b12.validation.profiles.r4_types import content_type
from fhir_b12.validation.profiles.slice_matching import add_slice_matching
from fhir_b12.validation.profiles.snapshot_tree import (
    STRUCTURE,
    SnapshotElement,
    Snapshots,
    type_name,
)

_BEST_PRACTICE = STRUCTURE + "elementdefinition-bestpractice"
#: a value that belongs to a slice by its pattern need not be compared with the pattern again
_BY_PATTERN = [("pattern", "$this")]

Keys = list[tuple[str, str]]  #: the JSON names of an element, each with its type


class ProfileChecker(Protocol):
    """Checks of values against other profiles that a profile refers to."""

    def check(
        self, item: ElementValue, url: str, context: ResourceContext, findings: Findings
    ) -> bool | None:
        """Check a value against a profile; return None if the profile is unknown."""
        ...

    def conforms_to(self, item: ElementValue, url: str, context: ResourceContext) -> bool:
        """Return True if a value conforms to a profile."""
        ...


class _Compared(NamedTuple):
    """An element with the definitions whose rules it repeats."""

    element: SnapshotElement
    base: Element | None  #: R4's definition; None if R4 has none
    whole: SnapshotElement | None  #: the sliced element of a slice; None if it is no slice


class ProfileCompiler:
    """Compiler of one structure."""

    def __init__(
        self,
        url: str,
        root: SnapshotElement,
        snapshots: Snapshots,
        checker: ProfileChecker,
        *,
        is_vital_sign: bool,
    ) -> None:
        self._url = url
        self._is_vital_sign = is_vital_sign  #: whether errata of R4's vital signs apply
        self._root = root
        self._snapshots = snapshots
        self._checker = checker
        self._by_path: dict[str, ElementRules] = {}  #: rules that content references may reuse

    def compile(self, type_: str) -> ElementRules:
        """Return the rules of the whole structure, which constrains a type."""
        return self._compile_element(self._root, R4.element(type_), type_, None)

    # --- one element

    def _compile_element(
        self,
        element: SnapshotElement,
        base: Element | None,
        path: str | None,
        whole: SnapshotElement | None,
    ) -> ElementRules:
        """Return the rules of an element.

        Args:
            element: The element in the snapshot.
            base: R4's definition of it; None if R4 has none.
            path: Where R4 defines its children; None for a choice of several types.
            whole: The sliced element if the element is a slice.

        """
        definition = element.definition
        rules = ElementRules(self._url, str(definition.get("id") or definition.get("path")))
        rules.min, rules.max = element.min, element.max
        compared = _Compared(element, base, whole)
        self._add_types(rules, compared)
        self._add_values(rules, compared)
        self._add_binding(rules, compared)
        self._add_constraints(rules, compared)
        self._add_groups(rules, element, path)
        return rules

    def _add_types(self, rules: ElementRules, compared: _Compared) -> None:
        element, base, whole = compared
        if base is not None:
            rules.types = _restricted_types(element.types, base.types)
            is_in_root = element.parent is self._root
            rules.is_type_reported = is_in_root and base.defined.startswith("Extension.value")
        profiles_by_type: dict[str, list[str]] = {}
        for row in element.type_rows():
            name = type_name(row)
            if name == "Reference":
                self._add_targets(rules, row, compared)
            elif name != "Extension":
                urls = [url for url in row.get("profile", ()) if not _is_base_profile(url, base)]
                if urls:
                    profiles_by_type.setdefault(name, []).extend(urls)
        if profiles_by_type and (whole is None or element.profiles != whole.profiles):
            rules.checks.append(value_checks.type_profiles(profiles_by_type, self._checker.check))

    def _add_targets(self, rules: ElementRules, row: dict[str, Any], compared: _Compared) -> None:
        _, base, whole = compared
        urls = list(row.get("targetProfile", ()))
        if whole is not None and urls == whole.targets:
            return
        base_urls = {f"{STRUCTURE}{name}" for name in base.targets} if base is not None else set()
        modes = tuple(row.get("aggregation", ()))
        if modes:
            rules.checks.append(value_checks.aggregation(modes, self._url))
        if not value_checks.allows_any_target(urls) and set(urls) != base_urls:
            type_of, conforms_to = self._snapshots.type_of, self._checker.conforms_to
            rules.checks.append(value_checks.targets(urls, type_of, conforms_to, self._url))

    def _add_values(self, rules: ElementRules, compared: _Compared) -> None:
        element, _, whole = compared
        for stem, check in (("fixed", value_checks.fixed), ("pattern", value_checks.pattern)):
            expected = element.choice(stem)
            if expected is None or (whole is not None and whole.choice(stem) == expected):
                continue
            if stem == "fixed" or whole is None or whole.discriminators != _BY_PATTERN:
                rules.checks.append(check(expected, self._url))
        max_length = element.definition.get("maxLength")
        if isinstance(max_length, int) and max_length > 0:
            rules.checks.append(value_checks.max_length(max_length, self._url))
        for stem in ("minValue", "maxValue"):
            limit = element.choice(stem)
            if limit is not None:
                is_upper = stem == "maxValue"
                rules.checks.append(value_checks.limit(limit, self._url, upper=is_upper))

    def _add_binding(self, rules: ElementRules, compared: _Compared) -> None:
        element, base, whole = compared
        binding = element.binding
        if binding is None or (whole is not None and whole.binding == binding):
            return
        strength, value_set, max_value_set = binding
        path = str(element.definition.get("path"))
        strength = errata.correct_strength(
            strength, value_set, path, is_vital_sign=self._is_vital_sign
        )
        if base is not None and (base.strength, base.binding, base.ceiling) == (
            strength,
            value_set.partition("|")[0],
            max_value_set.partition("|")[0] if max_value_set else None,
        ):
            return
        if strength != "example" or max_value_set:
            rules.checks.append(value_checks.binding(strength, value_set, max_value_set))

    def _add_constraints(self, rules: ElementRules, compared: _Compared) -> None:
        element, base, whole = compared
        known = _base_constraint_keys(element, base)
        if whole is not None:
            known |= {row.get("key") for row in whole.definition.get("constraint", ())}
        for constraint in element.definition.get("constraint", ()):
            if constraint.get("key") in known or _is_best_practice(constraint):
                continue
            source = str(constraint.get("source") or self._url)
            check = value_checks.constraint(constraint, source, is_vital_sign=self._is_vital_sign)
            if check is not None:
                rules.checks.append(check)

    # --- children of an element

    def _add_groups(self, rules: ElementRules, element: SnapshotElement, path: str | None) -> None:
        reference = element.definition.get("contentReference")
        if isinstance(reference, str) and not element.children:
            self._add_content_reference(rules, reference)
            return
        for _, rows in groupby(element.children, key=lambda child: child.name):
            group = self._compile_group([*rows], path)
            if group is not None:
                rules.groups.append(group)

    def _add_content_reference(self, rules: ElementRules, reference: str) -> None:
        """Reuse the groups of the element that a content reference names.

        A reference to R4's own structure means R4's rules, not those that this profile adds.
        """
        structure, _, path = reference.rpartition("#")
        target = self._by_path.get(path)
        if target is not None and structure in {"", self._url}:
            rules.groups = target.groups
            rules.is_incomplete = target.is_incomplete

    def _compile_group(
        self, rows: Sequence[SnapshotElement], parent: str | None
    ) -> ElementGroup | None:
        """Return the rules on the elements of one name; None if the profile adds nothing."""
        first = rows[0]
        is_head = first.slice_name is None or "slicing" in first.definition
        keys, base = _json_keys(parent, first.name)
        if base is None:
            return None
        head = first if is_head else SnapshotElement({"path": first.definition.get("path")})
        whole = self._compile_whole(head, base, _content_path(parent, keys, head))
        group = ElementGroup(first.name, keys, whole)
        group.base_min, group.base_max = base.min, base.max
        group.targets = head.targets
        slices = rows[1:] if is_head else rows
        if slices:
            group.slicing = self._compile_slicing(head, slices, base, parent, keys)
        return group if _adds_to_r4(group) else None

    def _compile_whole(
        self, head: SnapshotElement, base: Element, path: str | None
    ) -> ElementRules:
        """Return the rules on all values of an element, whatever slice they belong to."""
        own_path = str(head.definition.get("path"))
        if head.slice_name is not None or own_path in self._by_path:
            return self._compile_element(head, base, path, None)
        # known before its children are compiled, for these may refer to it
        shared = self._by_path[own_path] = ElementRules(self._url, own_path)
        shared.is_incomplete = True
        rules = self._compile_element(head, base, path, None)
        shared.is_incomplete = False
        if rules.is_incomplete:
            return rules
        if all(
            group.whole.groups is shared.groups and not _restricts_values(group)
            for group in rules.groups
        ):
            rules.groups.clear()
        shared.groups += rules.groups
        rules.groups = shared.groups
        return rules

    # --- slices

    def _compile_slicing(
        self,
        head: SnapshotElement,
        rows: Sequence[SnapshotElement],
        base: Element,
        parent: str | None,
        keys: Keys,
    ) -> SlicingRules | None:
        definition: dict[str, Any] = head.definition.get("slicing") or {}
        slicing = SlicingRules(
            self._url,
            str(rows[0].definition.get("path")),
            str(definition.get("rules", "open")),
            ordered=definition.get("ordered") is True,
        )
        for index, row in enumerate(rows):
            rules = self._compile_element(row, base, _content_path(parent, keys, row), head)
            slicing.slices.append(SliceRules(row.slice_name or str(index), rules))
        slicing.has_required = any(slice_.rules.min > 0 for slice_ in slicing.slices)
        add_slice_matching(slicing, head, rows, self._snapshots, self._checker.conforms_to)
        return slicing if _can_report(slicing) else None


# --- parts of an ElementDefinition


def _base_constraint_keys(element: SnapshotElement, base: Element | None) -> set[str | None]:
    """Return the keys of R4's own invariants on an element and its types."""
    names = {*element.types, "Element"}
    if base is not None:
        names |= {*base.types, *base.profiles, base.defined.partition(".")[0]}
    return {invariant.key for name in names for invariant in R4.invariants(name)}


def _is_best_practice(constraint: dict[str, Any]) -> bool:
    """Return True for a best practice, which HL7's validator skips by default."""
    return any(
        extension.get("url") == _BEST_PRACTICE and extension.get("valueBoolean") is True
        for extension in constraint.get("extension", ())
    )


def _is_base_profile(url: str, base: Element | None) -> bool:
    name = url.removeprefix(STRUCTURE)
    return base is not None and name in base.profiles


def _json_keys(parent: str | None, name: str) -> tuple[Keys, Element | None]:
    """Return the JSON names of an element with their types, and R4's definition of it."""
    parent_path = parent or "Element"
    known = R4.element(parent_path)
    if known is not None and any(map(R4.is_primitive, known.types)):
        parent_path = "Element"  # the children of a primitive are in its companion
    base = R4.element(f"{parent_path}.{name}")
    if base is None:
        return [], None
    if not name.endswith("[x]"):
        return [(name, content_type(f"{parent_path}.{name}", base))], base
    stem = name.removesuffix("[x]")
    keys = [(f"{stem}{type_[0].upper()}{type_[1:]}", type_) for type_ in base.types]
    return keys, base


def _content_path(parent: str | None, keys: Keys, element: SnapshotElement) -> str | None:
    """Return the path where R4 defines the children; None for a choice of several types."""
    parent_path = parent or "Element"
    if len(keys) == 1:
        return f"{parent_path}.{keys[0][0]}"
    types = element.types
    return next((f"{parent_path}.{key}" for key, type_ in keys if types == (type_,)), None)


def _restricted_types(names: tuple[str, ...], base: tuple[str, ...]) -> tuple[str, ...]:
    """Return the types that a profile leaves of R4's; empty if it leaves all."""
    if base == ("Resource",):
        return () if "Resource" in names else names
    types = tuple(name for name in names if name not in {"Element", "BackboneElement"})
    return types if types and set(types) < set(base) else ()


# --- whether a profile adds anything


def _adds_to_r4(group: ElementGroup) -> bool:
    return _restricts_values(group) or not group.whole.is_empty()


def _restricts_values(group: ElementGroup) -> bool:
    """Return True for rules on the number of values, their slices or each value, not children."""
    whole = group.whole
    has_lower_max = whole.max is not None and (group.base_max is None or whole.max < group.base_max)
    return (
        has_lower_max
        or whole.min > group.base_min
        or group.slicing is not None
        or bool(whole.checks or whole.types)
    )


def _can_report(slicing: SlicingRules) -> bool:
    """Return True if a slicing can have findings."""
    return (
        slicing.rules != "open"
        or slicing.ordered
        or slicing.faulty is not None
        or any(
            slice_.rules.min > 0 or slice_.rules.max is not None or not slice_.rules.is_empty()
            for slice_ in slicing.slices
        )
    )
