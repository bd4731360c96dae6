"""Check resources against the base rules of R4.  https://hl7.org/fhir/R4/validation.html

Each shape compiles, when first met, to one function that walks an object once: the texts of its
primitives, codes against their bindings, the parts, what is missing and what its invariants say.
What it is given is well shaped; see `fhir_b12.validation.structure.normalization`.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from operator import not_
from typing import Any

from fhir_b12.definitions import R4, Element, Invariant
from fhir_b12.validation.context import NeedsNormalization, ResourceContext
from fhir_b12.validation.findings import Finding, prepend_path
from fhir_b12.validation.structure.primitives import CHECKS, CachedCheck
from fhir_b12.validation.structure.quick_check import is_ensured
from fhir_b12.validation.structure.shapes import ELEMENT, Member, Shape, shape

Found = list[Finding]
Check = Callable[[Any, ResourceContext, Found], None]  #: appends what is wrong with a node
Holds = Callable[[Any, ResourceContext], bool]  #: one invariant
Bound = Callable[[Any, str, str, str, str | None, ResourceContext, Found], None]


class StructureChecks:
    """The base checks, compiled lazily, with the hooks of the other stages.

    `invariants` are functions by key; `special` are checks of a shape beside its own, by key
    (`Attachment`, `Bundle.entry`); `bound` checks a value against its value set, `coded` what holds
    of a value of a type that has a code, wherever it stands.

    A `fast` one relies on what `quick_check.is_well_shaped` ensures, and raises
    `NeedsNormalization` for malformed values that the quick check cannot detect.
    """

    def __init__(  # noqa: PLR0917  # each stage's hook
        self,
        invariants: Mapping[str, Holds],
        special: Mapping[str, tuple[Check, ...]],
        bound: Bound,
        coded: Mapping[str, Callable[..., None]],
        reference: Callable[[tuple[str, ...]], Check],
        narrative: Check,
        *,
        fast: bool,
    ) -> None:
        self._fast = fast
        self._functions = invariants
        self._special = special
        self._bound = bound
        self._coded = coded
        self._reference = reference
        self._narrative = narrative
        self._compiled: dict[tuple[str, str], Check] = {}

    def check(self, key: str, profile: str = "") -> Check:
        """The check of the objects of a shape; `profile` names a restriction of it that R4 uses."""
        found = self._compiled.get((key, profile or key))
        return found or self._compile(key, profile or key)

    def _compile(self, key: str, profile: str) -> Check:
        form, restriction = shape(key), shape(profile)
        checks: dict[str, Check] = {}
        for name, member in form.members.items():
            if name in restriction.members:
                checks[name] = self._late(checks, restriction.members[name], member)
            else:
                checks[name] = _all([_not_allowed(name), self._late(checks, member, member)])
        if form.is_resource:
            checks["resourceType"] = _nothing
        elif "id" in checks:
            checks["id"] = _all([_once, checks["id"]])
        walk = _walker(
            form,
            checks,
            self._right(restriction),
            self._required(restriction),
            self._odd(restriction),
            self._invariants(profile),
            self._special.get(key, ()),
        )
        self._compiled[key, profile] = walk
        return walk

    def _right(self, form: Shape) -> dict[str, AbstractSet[str]]:
        """Texts that need not be looked at, by member: bound codes, and what was right before."""
        right: dict[str, AbstractSet[str]] = {}
        for name, member in form.members.items():
            if member.many or member.json != "string" or self._invariants_at(member.element):
                continue
            if name in form.choices or (name == "id" and not form.is_resource):
                continue  # a second one must be seen
            text, bound = CHECKS[member.type], self._binding(member)
            if bound:
                codes = R4.required_codes(member.element) if member.is_required_code else None
                if codes is not None:
                    right[name] = codes
            elif isinstance(text, CachedCheck):
                right[name] = text.right
        if form.is_resource:
            right["resourceType"] = {form.key}
        return right

    def _required(self, form: Shape) -> list[tuple[frozenset[str], str, int]]:
        """What must be there: by any of its names, and what is said where it is not."""
        return [
            (frozenset(_spellings(member)), member.stem or name, member.element.min)
            for name, member in form.members.items()
            if member.element.min > 0
            and member.companion_of is None
            and not (self._fast and is_ensured(member))
        ]

    def _odd(self, form: Shape) -> tuple[frozenset[str], Check]:
        """Members that ask for a second look at the object, and that look."""
        companions = frozenset(name for name, each in form.members.items() if each.companion_of)
        without_value = {
            name: self._binding(member)[0]
            for name, member in form.members.items()
            if member.is_required_code
        }
        choices = frozenset(form.choices) - companions if self._fast else frozenset()

        def check(node: dict[str, Any], context: ResourceContext, found: Found) -> None:
            if len(choices.intersection(node)) > 1:
                _look_at_choices(form, node)
            if not companions.isdisjoint(node):
                _look_at_companions(node, companions, without_value, context, found)

        return companions | choices, check

    # --- members

    def _late(self, checks: dict[str, Check], member: Member, base: Member) -> Check:
        """The check of a member that is made at its first use: shapes lead back to themselves."""

        def check(value: Any, context: ResourceContext, found: Found) -> None:
            made = self._member(member, base)
            if checks[base.name] is check:
                checks[base.name] = made
            made(value, context, found)

        return check

    def _member(self, member: Member, base: Member) -> Check:
        if member.companion_of is not None:
            companion = self.check(ELEMENT)
            return self._holed(companion) if base.many else companion
        if member.type == "xhtml":
            return self._narrative  # txt-1 and txt-2 among its rules
        if base.is_resource:
            return _nothing
        single = self._primitive(member) if member.json else self._object(member)
        if member.type == "Extension":
            return _extending(self._listed(single))
        if not base.many:
            return single
        return self._holed(single) if member.json else self._listed(single)

    def _listed(self, check: Check) -> Check:
        return _unless(not_, _each(check)) if self._fast else _each(check)

    def _holed(self, check: Check) -> Check:
        """The check of a list in which null may hold a place; the thorough walk says whether."""
        return _unless(_has_hole, _each(check)) if self._fast else _each(check)

    def _primitive(self, member: Member) -> Check:
        text: Check = CHECKS[member.type]
        return _all([text, *self._binding(member), *self._invariants_at(member.element)])

    def _object(self, member: Member) -> Check:
        checks: list[Check] = [self.check(member.key, member.profile)]
        if member.type == "Reference":
            checks.append(self._reference(member.element.targets))
        element, coded = member.element, self._coded.get(member.type)
        if coded is not None and element.defined != "CodeableConcept.coding":
            is_bound = element.binding is not None and element.strength not in {None, "example"}
            checks.append(partial(coded, bound=is_bound))
        checks += self._binding(member)
        checks += self._invariants_at(element)
        return _all(checks)

    def _binding(self, member: Member) -> list[Check]:
        element, bound, kind = member.element, self._bound, member.type
        strength = element.strength
        url, ceiling = element.binding, element.ceiling
        if url is None or strength in {None, "example"}:
            return []
        codes = R4.required_codes(element) if kind == "code" else None

        def check(value: Any, context: ResourceContext, found: Found) -> None:
            bound(value, kind, strength or "", url, ceiling, context, found)

        if codes is None:
            return [check]

        def quick(value: Any, context: ResourceContext, found: Found) -> None:
            if value not in codes:
                check(value, context, found)

        return [quick]

    # --- invariants

    def _invariants(self, key: str) -> list[tuple[Invariant, Holds]]:
        """The invariants of a shape: those stated for its place, and those of its base types."""
        first = key.partition(".")[0]
        stated = R4.invariants(first)
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
        rules = [each for each in R4.invariants(owner) if each.path == element.defined]
        return [
            _invariant(each, self._functions[each.key])
            for each in rules
            if each.key in self._functions
        ]


#: ele-1 is checked in the walk, dom-3 where the contained resources are; dom-6 (a narrative is good
#: practice) is advice that HL7's validator gives only to who asks.
_ELSEWHERE = {"ele-1", "dom-3", "dom-6"}

#: Rules that can be broken only where a member is: most objects have it not, and need not be asked.
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


def _is_backbone(element: Element) -> bool:
    return element.types[:1] in {("BackboneElement",), (ELEMENT,)} and bool(
        R4.children(element.defined)
    )


def _spellings(member: Member) -> tuple[str, ...]:
    """Every JSON name that gives the element a value."""
    if member.stem is None:
        return (member.name, f"_{member.name}")
    parent = shape(member.element.path.rpartition(".")[0])
    return tuple(name for name, stem in parent.choices.items() if stem == member.stem)


def _not_allowed(name: str) -> Check:
    def check(_: Any, __: ResourceContext, found: Found) -> None:
        found.append(Finding("max", name=name))

    return check


def _once(value: Any, context: ResourceContext, found: Found) -> None:
    """The id of an element, which no other element of the resource has."""
    known = context.cache.setdefault(_once, set())
    if value in known:
        found.append(Finding("element-id-twice"))
    known.add(value)


def _nothing(_: Any, __: ResourceContext, ___: Found) -> None:
    """Resources within resources are checked by whoever knows what holds them."""


def _extending(check: Check) -> Check:
    """The check of a list of extensions, which the resource will remember to have."""

    def checked(nodes: Any, context: ResourceContext, found: Found) -> None:
        context.extension_lists += 1
        check(nodes, context, found)

    return checked


def _all(checks: list[Check]) -> Check:
    first, *rest = checks
    if not rest:
        return first
    second = _all(rest)

    def check(node: Any, context: ResourceContext, found: Found) -> None:
        first(node, context, found)
        second(node, context, found)

    return check


def _each(check: Check) -> Check:
    """The check of every item of a list; null holds a place."""

    def checked(nodes: list[Any], context: ResourceContext, found: Found) -> None:
        mark = len(found)
        for index, node in enumerate(nodes):
            if node is not None:
                check(node, context, found)
                if len(found) != mark:
                    prepend_path(found, mark, index)
                    mark = len(found)

    return checked


def _unless(misshapen: Callable[[list[Any]], bool], check: Check) -> Check:
    """The check of a list that may turn out misshapen."""

    def checked(nodes: list[Any], context: ResourceContext, found: Found) -> None:
        if misshapen(nodes):
            raise NeedsNormalization
        check(nodes, context, found)

    return checked


def _has_hole(nodes: list[Any]) -> bool:
    return not nodes or None in nodes


def _invariant(rule: Invariant, holds: Holds) -> Check:
    def check(node: Any, context: ResourceContext, found: Found) -> None:
        if not holds(node, context):
            found.append(invariant_finding(rule))

    return check


def invariant_finding(rule: Invariant) -> Finding:
    """What is said of an invariant that does not hold."""
    if rule.severity == "warning":
        return Finding("invariant", key=rule.key, human=rule.human, severity="warning")
    return Finding("invariant", key=rule.key, human=rule.human)


def _walker(  # noqa: PLR0917  # all that is told of a shape
    form: Shape,
    checks: dict[str, Check],
    right: dict[str, AbstractSet[str]],
    required: list[tuple[frozenset[str], str, int]],
    odd: tuple[frozenset[str], Check],
    invariants: list[tuple[Invariant, Holds]],
    special: tuple[Check, ...],
) -> Check:
    type_name = form.key
    may_be_alone = (
        form.is_resource or form.key == ELEMENT
    )  # companions are looked at by their owner
    odd_names, look_at_odd = odd
    only_with = _grouped(invariants)
    tail = tuple(
        [_needed(each, type_name) for each in required]
        + [_invariant(*each) for each in invariants if each[0].key not in _ONLY_WITH]
        + [*special]
    )

    def walk(node: dict[str, Any], context: ResourceContext, found: Found) -> None:
        mark, extension_lists = len(found), context.extension_lists
        plain = True  # of texts alone that were right before
        for name, value in node.items():
            texts = right.get(name)
            if texts is not None and value in texts:
                continue
            plain = False
            checks[name](value, context, found)
            if len(found) != mark:
                prepend_path(found, mark, name)
                mark = len(found)
        if not plain:
            if context.extension_lists != extension_lists:
                context.extension_holders.add(id(node))
            if not odd_names.isdisjoint(node):
                look_at_odd(node, context, found)
        if len(node) < 2 and not may_be_alone:
            _look_closer(node, context, found)
        for member, rules in only_with:
            if member in node:
                for rule, holds in rules:
                    if not holds(node, context):
                        found.append(invariant_finding(rule))
        for each in tail:
            each(node, context, found)

    return walk


def _needed(required: tuple[frozenset[str], str, int], type_name: str) -> Check:
    names, name, least = required

    def check(node: dict[str, Any], _: ResourceContext, found: Found) -> None:
        if names.isdisjoint(node):
            found.append(Finding("min", name, type=type_name, name=name, min=least))

    return check


def _grouped(
    invariants: list[tuple[Invariant, Holds]],
) -> list[tuple[str, list[tuple[Invariant, Holds]]]]:
    """The rules that need a member, by that member."""
    groups: dict[str, list[tuple[Invariant, Holds]]] = {}
    for each in invariants:
        member = _ONLY_WITH.get(each[0].key)
        if member is not None:
            groups.setdefault(member, []).append(each)
    return list(groups.items())


def _look_closer(node: dict[str, Any], context: ResourceContext, found: Found) -> None:
    """An object with nothing or little in it."""
    if not node and context.fast:
        raise NeedsNormalization
    if "id" in node:
        found.append(Finding("ele-1"))


def _look_at_companions(
    node: dict[str, Any],
    companions: frozenset[str],
    without_value: dict[str, Check],
    context: ResourceContext,
    found: Found,
) -> None:
    """Primitives that have no value: an extension may stand for it, an id may not."""
    for companion in companions.intersection(node):
        name, parts = companion[1:], node[companion]
        if context.fast and not (parts and all(part != {} for part in parts)):
            raise NeedsNormalization
        if parts.__class__ is list:
            values = node.get(name, ())
            for index, part in enumerate(parts):
                alone = index >= len(values) or values[index] is None
                if part is not None and alone and "extension" not in part:
                    found.append(Finding("no-value", name, index))
        elif name not in node:
            if "extension" not in parts:
                found.append(Finding("no-value", name))
            elif name in without_value:
                mark = len(found)
                without_value[name](None, context, found)
                prepend_path(found, mark, name)


def _look_at_choices(form: Shape, node: dict[str, Any]) -> None:
    stems = [form.choices[name] for name in node if name in form.choices and name[0] != "_"]
    if len(set(stems)) < len(stems):
        raise NeedsNormalization
