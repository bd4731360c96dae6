"""The check of one object: its members, missing elements, and invariants.

https://hl7.org/fhir/R4/conformance-rules.html
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from fhir_b12.definitions import Invariant
from fhir_b12.validation.context import NeedsNormalization, ResourceContext
from fhir_b12.validation.findings import Finding, Findings, prepend_path
from fhir_b12.validation.structure.combinators import Check
from fhir_b12.validation.structure.shapes import ELEMENT, Shape

InvariantFunction = Callable[[Any, ResourceContext], bool]  #: True if the invariant holds

#: Invariants that only an object with a certain member can break; most objects do not have it.
_ONLY_WITH = {
    "att-1": "data",
    "cpt-2": "value",
    "dom-2": "contained",
    "dom-4": "contained",
    "dom-5": "contained",
    "obs-6": "dataAbsentReason",
    "obs-7": "component",
    "per-1": "end",
    "qty-3": "code",
    "ref-1": "reference",
    "rng-2": "high",
    "sqty-1": "comparator",
}


class RequiredMember(NamedTuple):
    """A member with a min above 0."""

    json_names: frozenset[str]  #: any of them is enough: the types of a choice, companions
    name: str  #: without its type: "value"
    label: str  #: the name in messages: "value[x]"
    min: int
    remedy: str  #: "add a reference to Patient"


class ObjectRules(NamedTuple):
    """All rules for the objects of a shape."""

    shape: Shape
    members: dict[str, Check]
    valid_texts: dict[str, AbstractSet[str]]
    required: list[RequiredMember]
    rare_members: frozenset[str]
    check_rare_members: Check
    invariants: list[tuple[Invariant, InvariantFunction]]
    type_checks: tuple[Check, ...]


def build_invariant_check(invariant: Invariant, holds: InvariantFunction) -> Check:
    """Return the check of one invariant."""

    def check(node: Any, context: ResourceContext, findings: Findings) -> None:
        if not holds(node, context):
            findings.append(invariant_finding(invariant))

    return check


def invariant_finding(invariant: Invariant) -> Finding:
    """Return the finding for an invariant that is broken."""
    if invariant.severity == "warning":
        return Finding("invariant", key=invariant.key, human=invariant.human, severity="warning")
    return Finding("invariant", key=invariant.key, human=invariant.human)


def build_object_check(rules: ObjectRules) -> Check:
    """Return the function that checks one object of a shape."""
    type_name = rules.shape.key
    # a companion with only an id is checked with its owner
    may_have_one_member = rules.shape.is_resource or type_name == ELEMENT
    checks, valid_texts = rules.members, rules.valid_texts
    rare_members, check_rare_members = rules.rare_members, rules.check_rare_members
    invariants_by_member = _group_by_member(rules.invariants)
    final_checks = tuple(
        [_build_min_check(member, type_name) for member in rules.required]
        + [
            build_invariant_check(*pair)
            for pair in rules.invariants
            if pair[0].key not in _ONLY_WITH
        ]
        + [*rules.type_checks]
    )

    def check_object(node: dict[str, Any], context: ResourceContext, findings: Findings) -> None:
        mark, extension_lists = len(findings), context.extension_lists
        only_valid_texts = True
        for name, value in node.items():
            texts = valid_texts.get(name)
            if texts is not None and value in texts:
                continue
            only_valid_texts = False
            checks[name](value, context, findings)
            if len(findings) != mark:
                prepend_path(findings, mark, name)
                mark = len(findings)
        if not only_valid_texts:
            if context.extension_lists != extension_lists:
                context.extension_holders.add(id(node))
            if not rare_members.isdisjoint(node):
                check_rare_members(node, context, findings)
        if len(node) < 2 and not may_have_one_member:
            _check_content(node, context, findings)
        for member, invariants in invariants_by_member:
            if member in node:
                for invariant, holds in invariants:
                    if not holds(node, context):
                        findings.append(invariant_finding(invariant))
        for check in final_checks:
            check(node, context, findings)

    return check_object


def _build_min_check(member: RequiredMember, type_name: str) -> Check:
    json_names, name, label, least, remedy = member

    values: dict[str, Any] = {"type": type_name, "name": label, "min": least, "remedy": remedy}

    def check(node: dict[str, Any], _: ResourceContext, findings: Findings) -> None:
        if json_names.isdisjoint(node):
            findings.append(Finding("min", name, **values))

    return check


def _group_by_member(
    invariants: list[tuple[Invariant, InvariantFunction]],
) -> list[tuple[str, list[tuple[Invariant, InvariantFunction]]]]:
    """Return the invariants of `_ONLY_WITH` by the member they need."""
    groups: dict[str, list[tuple[Invariant, InvariantFunction]]] = {}
    for pair in invariants:
        member = _ONLY_WITH.get(pair[0].key)
        if member is not None:
            groups.setdefault(member, []).append(pair)
    return list(groups.items())


def _check_content(node: dict[str, Any], context: ResourceContext, findings: Findings) -> None:
    """Check an object with at most one member: it must not be empty or have an id alone.

    Raises:
        NeedsNormalization: The object is empty.

    """
    if not node and context.fast:
        raise NeedsNormalization
    if "id" in node:
        findings.append(Finding("ele-1"))


def check_companions(
    node: dict[str, Any],
    companions: frozenset[str],
    binding_checks: dict[str, Check],
    context: ResourceContext,
    findings: Findings,
) -> None:
    """Check primitives without a value: an extension can replace the value, an id cannot.

    Raises:
        NeedsNormalization: A companion is empty.

    """
    for companion in companions.intersection(node):
        name, parts = companion[1:], node[companion]
        if context.fast and not (parts and all(part != {} for part in parts)):
            raise NeedsNormalization
        if parts.__class__ is list:
            values = node.get(name, ())
            for index, part in enumerate(parts):
                has_no_value = index >= len(values) or values[index] is None
                if part is not None and has_no_value and "extension" not in part:
                    findings.append(Finding("no-value", name, index))
        elif name not in node:
            if "extension" not in parts:
                findings.append(Finding("no-value", name))
            elif name in binding_checks:
                mark = len(findings)
                binding_checks[name](None, context, findings)
                prepend_path(findings, mark, name)


def require_one_choice(shape: Shape, node: dict[str, Any]) -> None:
    """Check that each choice has one type.

    Raises:
        NeedsNormalization: A choice has two types.

    """
    stems = [shape.choices[name] for name in node if name in shape.choices and name[0] != "_"]
    if len(set(stems)) < len(stems):
        raise NeedsNormalization
