"""Check resources against the base rules of R4.  https://hl7.org/fhir/R4/validation.html

Each shape is compiled, when it is first needed, to one function that visits the members of an
object once: values of primitives, codes and their bindings, parts, missing elements, invariants.
The objects are well shaped; see `fhir_b12.validation.structure.normalization`.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from operator import not_
from typing import Any

from fhir_b12.definitions import R4, Element, Invariant
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, Findings
from fhir_b12.validation.structure.combinators import (
    Check,
    check_all,
    check_items,
    check_nothing,
    check_unless_malformed,
    count_extension_list,
)
from fhir_b12.validation.structure.object_check import (
    InvariantFunction,
    ObjectRules,
    RequiredMember,
    build_invariant_check,
    build_object_check,
    check_companions,
    require_one_choice,
)
from fhir_b12.validation.structure.primitives import CHECKS, CachedCheck
from fhir_b12.validation.structure.quick_check import is_ensured
from fhir_b12.validation.structure.shapes import ELEMENT, Member, Shape, get_shape

BindingCheck = Callable[[Any, str, str, str, str | None, ResourceContext, Findings], None]


class StructureChecks:
    """The base checks, compiled when needed, with the hooks of the other stages."""

    def __init__(  # noqa: PLR0917  # each stage's hook
        self,
        invariants: Mapping[str, InvariantFunction],
        type_checks: Mapping[str, tuple[Check, ...]],
        check_binding: BindingCheck,
        coded_types: Mapping[str, Callable[..., None]],
        build_reference_check: Callable[[tuple[str, ...]], Check],
        check_narrative: Check,
        *,
        fast: bool,
    ) -> None:
        """Build the checks.

        Args:
            invariants: Function of each invariant by its key.
            type_checks: Further checks of the objects of a shape, by its key: `Attachment`,
                `Bundle.entry`.
            check_binding: Checks a value against the value set it is bound to.
            coded_types: Check of a type with a code, by type, wherever it occurs.
            build_reference_check: Builds the check of a Reference from its target types.
            check_narrative: Checks the `div` of a narrative.
            fast: Rely on what `quick_check.is_well_shaped` ensures, and raise
                `NeedsNormalization` for malformed values that it cannot detect.

        """
        self._fast = fast
        self._invariant_functions = invariants
        self._type_checks = type_checks
        self._check_binding = check_binding
        self._coded_types = coded_types
        self._build_reference_check = build_reference_check
        self._check_narrative = check_narrative
        self._compiled: dict[tuple[str, str], Check] = {}

    def check(self, key: str, profile: str = "") -> Check:
        """Return the check of the objects of a shape.

        Args:
            key: Key of the shape.
            profile: A profile of the type that R4 itself uses: `SimpleQuantity`.

        """
        compiled = self._compiled.get((key, profile or key))
        return compiled or self._compile(key, profile or key)

    def _compile(self, key: str, profile: str) -> Check:
        shape, restricted = get_shape(key), get_shape(profile)
        checks: dict[str, Check] = {}
        for name, member in shape.members.items():
            if name in restricted.members:
                checks[name] = self._compile_lazily(checks, restricted.members[name], member)
            else:
                checks[name] = check_all(
                    [_build_max_check(name), self._compile_lazily(checks, member, member)]
                )
        if shape.is_resource:
            checks["resourceType"] = check_nothing
        elif "id" in checks:
            checks["id"] = check_all([_check_unique_id, checks["id"]])
        check = build_object_check(
            ObjectRules(
                shape=shape,
                members=checks,
                valid_texts=self._valid_texts(restricted),
                required=self._required_members(restricted),
                rare_members=self._rare_members(restricted),
                check_rare_members=self._build_rare_members_check(restricted),
                invariants=self._invariants_of_shape(profile),
                type_checks=self._type_checks.get(key, ()),
            )
        )
        self._compiled[key, profile] = check
        return check

    def _valid_texts(self, shape: Shape) -> dict[str, AbstractSet[str]]:
        """Return texts that need no check, by member: required codes, and cached valid texts."""
        valid: dict[str, AbstractSet[str]] = {}
        for name, member in shape.members.items():
            if (
                member.many
                or member.json != "string"
                or self._invariants_of_element(member.element)
            ):
                continue
            if name in shape.choices or (name == "id" and not shape.is_resource):
                continue  # each occurrence counts: a second choice, a duplicate id
            check, binding = CHECKS[member.type], self._binding_checks(member)
            if binding:
                codes = R4.required_codes(member.element) if member.is_required_code else None
                if codes is not None:
                    valid[name] = codes
            elif isinstance(check, CachedCheck):
                valid[name] = check.valid
        if shape.is_resource:
            valid["resourceType"] = {shape.key}
        return valid

    def _required_members(self, shape: Shape) -> list[RequiredMember]:
        """Return the members that an object must have, without those that are ensured."""
        required = (
            RequiredMember(
                frozenset(_json_names(member)),
                member.stem or name,
                f"{member.stem}[x]" if member.stem else name,
                member.element.min,
                _remedy_if_missing(member),
            )
            for name, member in shape.members.items()
            if member.element.min > 0
            and member.companion_of is None
            and not (self._fast and is_ensured(member))
        )
        return list(dict.fromkeys(required))  # the types of a choice are one required member

    def _rare_members(self, shape: Shape) -> frozenset[str]:
        """Return the members whose presence needs a check of the whole object."""
        return _companions(shape) | self._choices(shape)

    def _choices(self, shape: Shape) -> frozenset[str]:
        """Return the members that are a type of a choice; the normalizer leaves one of them."""
        return frozenset(shape.choices) - _companions(shape) if self._fast else frozenset()

    def _build_rare_members_check(self, shape: Shape) -> Check:
        companions, choices = _companions(shape), self._choices(shape)
        binding_checks = {
            name: self._binding_checks(member)[0]
            for name, member in shape.members.items()
            if member.is_required_code
        }

        def check(node: dict[str, Any], context: ResourceContext, findings: Findings) -> None:
            if len(choices.intersection(node)) > 1:
                require_one_choice(shape, node)
            if not companions.isdisjoint(node):
                check_companions(node, companions, binding_checks, context, findings)

        return check

    # --- members

    def _compile_lazily(self, checks: dict[str, Check], member: Member, base: Member) -> Check:
        """Return a check of a member that is compiled at its first use: shapes are recursive."""

        def check(value: Any, context: ResourceContext, findings: Findings) -> None:
            compiled = self._compile_member(member, base)
            if checks[base.name] is check:
                checks[base.name] = compiled
            compiled(value, context, findings)

        return check

    def _compile_member(self, member: Member, base: Member) -> Check:
        if member.companion_of is not None:
            companion = self.check(ELEMENT)
            return self._check_list_with_nulls(companion) if base.many else companion
        if member.type == "xhtml":
            return self._check_narrative  # with txt-1 and txt-2
        if base.is_resource:
            return check_nothing
        single = self._compile_primitive(member) if member.json else self._compile_object(member)
        if member.type == "Extension":
            return count_extension_list(self._check_list(single))
        if not base.many:
            return single
        return self._check_list_with_nulls(single) if member.json else self._check_list(single)

    def _check_list(self, check: Check) -> Check:
        items = check_items(check)
        return check_unless_malformed(not_, items) if self._fast else items

    def _check_list_with_nulls(self, check: Check) -> Check:
        """Return the check of a list that may have nulls; the normalizer aligns them."""
        items = check_items(check)
        return check_unless_malformed(_is_empty_or_has_null, items) if self._fast else items

    def _compile_primitive(self, member: Member) -> Check:
        value_check: Check = CHECKS[member.type]
        bindings = self._binding_checks(member)
        return check_all([value_check, *bindings, *self._invariants_of_element(member.element)])

    def _compile_object(self, member: Member) -> Check:
        checks: list[Check] = [self.check(member.key, member.profile)]
        if member.type == "Reference":
            checks.append(self._build_reference_check(member.element.targets))
        element, check_coded = member.element, self._coded_types.get(member.type)
        if check_coded is not None and element.defined != "CodeableConcept.coding":
            is_bound = element.binding is not None and element.strength not in {None, "example"}
            checks.append(partial(check_coded, bound=is_bound))
        checks += self._binding_checks(member)
        checks += self._invariants_of_element(element)
        return check_all(checks)

    def _binding_checks(self, member: Member) -> list[Check]:
        """Return the check of a member's binding, in a list; [] if it has none to check."""
        element, check_binding, type_name = member.element, self._check_binding, member.type
        strength = element.strength
        url, ceiling = element.binding, element.ceiling
        if url is None or strength in {None, "example"}:
            return []
        codes = R4.required_codes(element) if type_name == "code" else None

        def check(value: Any, context: ResourceContext, findings: Findings) -> None:
            check_binding(value, type_name, strength or "", url, ceiling, context, findings)

        if codes is None:
            return [check]

        def check_unknown(value: Any, context: ResourceContext, findings: Findings) -> None:
            if value not in codes:
                check(value, context, findings)

        return [check_unknown]

    # --- invariants

    def _invariants_of_shape(self, key: str) -> list[tuple[Invariant, InvariantFunction]]:
        """Return the invariants of a shape: those of its path, and those of its base types."""
        type_name = key.partition(".")[0]
        stated = R4.invariants(type_name)
        if type_name == key:
            own = [invariant for invariant in stated if "." not in invariant.path]
        else:
            own = [invariant for invariant in stated if invariant.path == key]
        return [
            (invariant, self._invariant_functions[invariant.key])
            for invariant in own
            if invariant.key in self._invariant_functions
            and invariant.key not in _CHECKED_ELSEWHERE
        ]

    def _invariants_of_element(self, element: Element) -> list[Check]:
        """Return the invariants that R4 states for an element of a data type."""
        owner = element.defined.partition(".")[0]
        if element.content or _is_backbone(element):
            return []
        return [
            build_invariant_check(invariant, self._invariant_functions[invariant.key])
            for invariant in R4.invariants(owner)
            if invariant.path == element.defined and invariant.key in self._invariant_functions
        ]


#: ele-1 is checked with the members, dom-3 with the contained resources. dom-6 (a resource should
#: have a narrative) is advice that HL7's validator only gives on request.
_CHECKED_ELSEWHERE = {"ele-1", "dom-3", "dom-6"}


def _is_backbone(element: Element) -> bool:
    return element.types[:1] in {("BackboneElement",), (ELEMENT,)} and bool(
        R4.children(element.defined)
    )


def _companions(shape: Shape) -> frozenset[str]:
    """Return the members such as `_birthDate`."""
    return frozenset(name for name, member in shape.members.items() if member.companion_of)


def _json_names(member: Member) -> tuple[str, ...]:
    """Return every JSON name that gives the element a value."""
    if member.stem is None:
        return (member.name, f"_{member.name}")
    parent = get_shape(member.element.path.rpartition(".")[0])
    return tuple(name for name, stem in parent.choices.items() if stem == member.stem)


def _remedy_if_missing(member: Member) -> str:
    """Return the remedy for a required member that is missing."""
    element = member.element
    if member.stem is not None:
        names = [name for name in _json_names(member) if name[0] != "_"]
        if len(names) <= _MAX_NAMED:
            return f"add {' or '.join(names)}"
        return f"add it with its type, such as {names[0]}"
    codes = R4.required_codes(element) if member.is_required_code else None
    if codes is not None and len(codes) <= _MAX_NAMED:
        return f"add one of {', '.join(sorted(codes))}"
    if member.type == "Reference" and 0 < len(element.targets) <= _MAX_NAMED:
        return f"add a reference to {' or '.join(element.targets)}"
    return "add it"


_MAX_NAMED = 10  #: codes or types that a message names


def _build_max_check(name: str) -> Check:
    """Return the check of a member that a profile of R4 forbids."""

    def check(_: Any, __: ResourceContext, findings: Findings) -> None:
        findings.append(Finding("max", name=name))

    return check


def _check_unique_id(value: Any, context: ResourceContext, findings: Findings) -> None:
    """Check that no other element of the resource has the same id."""
    ids = context.cache.setdefault(_check_unique_id, set())
    if value in ids:
        findings.append(Finding("element-id-twice"))
    ids.add(value)


def _is_empty_or_has_null(nodes: list[Any]) -> bool:
    return not nodes or None in nodes
