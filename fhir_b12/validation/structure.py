"""Check resources against the base rules of R4.  https://hl7.org/fhir/R4/validation.html

Each shape compiles, when first met, to one function that walks an object once: the texts of its
primitives, codes against their bindings, the parts, what is missing and what its invariants say.
What it is given is well shaped; see `fhir_b12.validation.shaping`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_b12 import definitions
from fhir_b12.definitions import Element, Invariant
from fhir_b12.validation.context import Context
from fhir_b12.validation.findings import Finding, under
from fhir_b12.validation.primitives import CHECKS
from fhir_b12.validation.shapes import ELEMENT, Member, shape

Found = list[Finding]
Check = Callable[[Any, Context, Found], None]  #: appends what is wrong with a node
Holds = Callable[[Any, Context], bool]  #: one invariant
Bound = Callable[[Any, str, str, str, str | None, Context, Found], None]


class Structure:
    """The base checks, compiled lazily, with the hooks of the other stages.

    `invariants` are functions by key; `special` are checks of a shape beside its own, by key
    (`Reference`, `Coding`, `Bundle.entry`); `bound` checks a value against its value set.
    """

    def __init__(
        self,
        invariants: Mapping[str, Holds],
        special: Mapping[str, tuple[Check, ...]],
        bound: Bound,
        reference: Callable[[Any, tuple[str, ...], Context, Found], None],
        narrative: Check,
    ) -> None:
        self._functions = invariants
        self._special = special
        self._bound = bound
        self._reference = reference
        self._narrative = narrative
        self._compiled: dict[tuple[str, str], Check] = {}

    def check(self, key: str, profile: str = "") -> Check:
        """The check of the objects of a shape; `profile` names a restriction of it that R4 uses."""
        found = self._compiled.get((key, profile or key))
        return found or self._compile(key, profile or key)

    def _compile(self, key: str, profile: str) -> Check:
        own = shape(key)
        restriction = shape(profile)
        checks: dict[str, Check] = {}
        for name, member in own.members.items():
            if name in restriction.members:
                checks[name] = self._member(restriction.members[name], member)
            else:
                checks[name] = _not_allowed(name)
        required = {
            member.stem or name: (_spellings(member), member.element.min)
            for name, member in restriction.members.items()
            if member.element.min > 0 and member.companion_of is None
        }
        walk = _walker(
            checks,
            required,
            self._invariants(profile),
            self._special.get(key, ()),
            type_name=key,
            is_resource=definitions.is_resource(key),
        )
        self._compiled[key, profile] = walk
        return walk

    # --- members

    def _member(self, member: Member, base: Member) -> Check:
        if member.companion_of is not None:
            return (
                _each(self._late(ELEMENT, ELEMENT)) if base.many else self._late(ELEMENT, ELEMENT)
            )
        if member.type == "xhtml":
            return _all([self._narrative, *self._invariants_at(member.element)])
        if base.is_resource:
            return _nothing
        single = self._primitive(member) if member.json else self._object(member)
        if member.type == "Extension":
            return _extending(_each(single))
        return _each(single) if base.many else single

    def _late(self, key: str, profile: str) -> Check:
        """The check of a shape that compiles at its first use: shapes lead back to themselves."""
        compiled = self._compiled

        def check(node: Any, context: Context, found: Found) -> None:
            (compiled.get((key, profile)) or self.check(key, profile))(node, context, found)

        return check

    def _primitive(self, member: Member) -> Check:
        text = CHECKS[member.type]
        bound = self._binding(member)
        extra = self._invariants_at(member.element)

        def plain(value: Any, _: Context, found: Found) -> None:
            text(value, found)

        return _all([plain, *bound, *extra]) if bound or extra else plain

    def _object(self, member: Member) -> Check:
        checks: list[Check] = [self._late(member.key, member.profile)]
        if member.type == "Reference":
            targets = member.element.targets
            reference = self._reference
            checks.append(lambda node, context, found: reference(node, targets, context, found))
        checks += self._binding(member)
        checks += self._invariants_at(member.element)
        return _all(checks)

    def _binding(self, member: Member) -> list[Check]:
        element, bound, kind = member.element, self._bound, member.type
        strength = element.strength
        url, ceiling = element.binding, element.ceiling
        if url is None or strength in {None, "example"}:
            return []
        codes = element.codes if kind == "code" else None

        def check(value: Any, context: Context, found: Found) -> None:
            bound(value, kind, strength or "", url, ceiling, context, found)

        if codes is None:
            return [check]

        def quick(value: Any, context: Context, found: Found) -> None:
            if value not in codes:
                check(value, context, found)

        return [quick]

    # --- invariants

    def _invariants(self, key: str) -> list[tuple[Invariant, Holds]]:
        """The invariants of a shape: those stated for its place, and those of its base types."""
        first = key.partition(".")[0]
        stated = definitions.invariants(first)
        here = [each for each in stated if each.path == key]
        if first == key:
            here = [each for each in stated if "." not in each.path]
        return [
            (each, self._functions[each.key])
            for each in here
            if each.key in self._functions and each.key not in _ELSEWHERE
        ]

    def _invariants_at(self, element: Element) -> list[Check]:
        """Those stated where an element of a data type stands."""
        owner = element.defined.partition(".")[0]
        if element.content or _is_backbone(element):
            return []
        rules = [each for each in definitions.invariants(owner) if each.path == element.defined]
        return [
            _invariant(each, self._functions[each.key])
            for each in rules
            if each.key in self._functions
        ]


#: Checked in another way: ele-1 in the walk, dom-3 where the contained resources are.
_ELSEWHERE = {"ele-1", "dom-3"}


def _is_backbone(element: Element) -> bool:
    return element.types[:1] in {("BackboneElement",), (ELEMENT,)} and bool(
        definitions.children(element.defined)
    )


def _spellings(member: Member) -> tuple[str, ...]:
    """Every JSON name that gives the element a value."""
    if member.stem is None:
        return (member.name, f"_{member.name}")
    parent = shape(member.element.path.rpartition(".")[0])
    return tuple(name for name, stem in parent.choices.items() if stem == member.stem)


def _not_allowed(name: str) -> Check:
    def check(_: Any, __: Context, found: Found) -> None:
        found.append(Finding("max", name=name))

    return check


def _nothing(_: Any, __: Context, ___: Found) -> None:
    """Resources within resources are checked by whoever knows what holds them."""


def _extending(check: Check) -> Check:
    """The check of a list of extensions, which the resource will remember to have."""

    def checked(nodes: Any, context: Context, found: Found) -> None:
        context.extended = True
        check(nodes, context, found)

    return checked


def _all(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(node: Any, context: Context, found: Found) -> None:
        for each in checks:
            each(node, context, found)

    return check


def _each(check: Check) -> Check:
    """The check of every item of a list; null holds a place."""

    def checked(nodes: list[Any], context: Context, found: Found) -> None:
        mark = len(found)
        for index, node in enumerate(nodes):
            if node is not None:
                check(node, context, found)
                if len(found) != mark:
                    under(found, mark, index)
                    mark = len(found)

    return checked


def _invariant(rule: Invariant, holds: Holds) -> Check:
    def check(node: Any, context: Context, found: Found) -> None:
        if not holds(node, context):
            found.append(broken(rule))

    return check


def broken(rule: Invariant) -> Finding:
    """What is said of an invariant that does not hold."""
    if rule.severity == "warning":
        return Finding("invariant", key=rule.key, human=rule.human, severity="warning")
    return Finding("invariant", key=rule.key, human=rule.human)


def _walker(
    checks: dict[str, Check],
    required: dict[str, tuple[tuple[str, ...], int]],
    invariants: list[tuple[Invariant, Holds]],
    special: tuple[Check, ...],
    *,
    type_name: str,
    is_resource: bool,
) -> Check:
    if is_resource:
        checks = {**checks, "resourceType": _nothing}
    need_content = not is_resource

    def walk(node: dict[str, Any], context: Context, found: Found) -> None:
        mark = len(found)
        for name, value in node.items():
            checks[name](value, context, found)
            if len(found) != mark:
                under(found, mark, name)
                mark = len(found)
        for name, (names, least) in required.items():
            if not any(map(node.__contains__, names)):
                found.append(Finding("min", name, type=type_name, name=name, min=least))
        if need_content and len(node) == 1 and "id" in node:
            found.append(Finding("ele-1"))
        for rule, holds in invariants:
            if not holds(node, context):
                found.append(broken(rule))
        for each in special:
            each(node, context, found)

    return walk
