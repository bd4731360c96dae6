"""Validation of coded values: by themselves, and against their bindings.

https://hl7.org/fhir/R4/terminologies.html#strength

Locations and severities are those of HL7's validator: a code outside a required value set is an
error, outside an extensible one a warning, outside a preferred one information. What cannot be
decided without a terminology server is no finding; the terminology records it for the report.
"""

from typing import Any, NamedTuple

from fhir_b12.issues import Severity
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.terminology.grammars import has_scheme, is_absolute
from fhir_b12.validation.terminology.results import CodingProblem, CodingResult
from fhir_b12.validation.terminology.service import Terminology
from fhir_b12.validation.terminology.system_aliases import canonical_system

Json = dict[str, Any]

_CODING_PARTS = frozenset({"system", "version", "code", "display"})
_MAX_LISTED_CODES = 12  #: codes of a value set that a message lists
_URI_SYSTEM = "urn:ietf:rfc:3986"
_RULE_BY_STRENGTH = {
    "required": "required-binding",
    "extensible": "extensible-binding",
    "preferred": "preferred-binding",
}


class _Binding(NamedTuple):
    """The binding of one element."""

    strength: str
    value_set: str
    max_value_set: str | None


def check_binding(  # noqa: PLR0917 - the parts of a binding
    value: Any,
    type_name: str,
    strength: str | None,
    value_set: str | None,
    max_value_set: str | None,
    context: ResourceContext,
    findings: list[Finding],
) -> None:
    """Validate a coded value against the value set it is bound to.

    Problems of the coding itself are not reported: see `check_codeable_concept` and the like.

    Args:
        value: A code, Coding, Quantity or CodeableConcept; None for a primitive that has
            extensions and no value.
        type_name: The type of the value: "CodeableConcept".
        strength: Strength of the binding; "example" or None is not checked.
        value_set: Canonical url of the value set.
        max_value_set: Canonical url of the maximum value set of an extensible binding.
        context: The resource.
        findings: Findings are appended, with paths that start at the value.

    """
    if value_set is None or strength not in _RULE_BY_STRENGTH:
        return
    if isinstance(value, str):
        if value not in context.validator.terminology.codes_without_problems(value_set):
            _bind_code(value, _Binding(strength, value_set, max_value_set), context, findings)
    elif value is None:
        if strength == "required":
            findings.append(Finding("code-missing", value_set=value_set))
    elif not isinstance(value, dict):
        return
    elif type_name == "CodeableConcept":
        _bind_concept(value, _Binding(strength, value_set, max_value_set), context, findings)
    else:
        _bind_coding(value, _Binding(strength, value_set, max_value_set), context, findings)


def check_codeable_concept(
    concept: Json, context: ResourceContext, findings: list[Finding]
) -> None:
    """Validate each coding of a CodeableConcept, whatever value set it is bound to.

    https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
    """
    codings = concept.get("coding", ())
    terminology: Terminology = context.validator.terminology
    for index, coding in enumerate(codings):
        if terminology.is_known_clean("concept", coding, context.resource):
            continue
        if "system" not in coding:
            if not all(map(_CODING_PARTS.isdisjoint, codings)):
                findings.append(Finding("concept-without-system", "coding", index))
            continue
        canonical = canonical_system(coding["system"])
        if canonical is not None:
            findings.append(_misspelled_system(canonical, coding, None, "coding", index, "system"))
            continue
        result = _validate_coding(coding, context)
        if result.problems:
            _report(result, coding, findings, "coding", index)
        else:
            terminology.remember_clean("concept", coding, context.resource, result)


def check_coding(
    coding: Json, context: ResourceContext, findings: list[Finding], *, bound: bool = False
) -> None:
    """Validate a Coding outside a CodeableConcept.  https://hl7.org/fhir/R4/datatypes.html#Coding

    `bound` is True if the element has a binding, which moves the location of some findings.
    """
    terminology: Terminology = context.validator.terminology
    if terminology.is_known_clean("coding", coding, context.resource):
        return
    system, code = coding.get("system"), coding.get("code")
    if system is None:
        if code is not None:
            findings.append(Finding("coding-without-system"))
        return
    if _is_invalid_system(coding, context, findings, bound=bound) or code is None:
        return
    result = _validate_coding(coding, context)
    if result.problems:
        _report(result, coding, findings)
    else:
        terminology.remember_clean("coding", coding, context.resource, result)


def check_quantity(
    quantity: Json, context: ResourceContext, findings: list[Finding], *, bound: bool = False
) -> None:
    """Validate the unit of a Quantity.  https://hl7.org/fhir/R4/datatypes.html#Quantity

    `bound` is True if the element has a binding, which moves the location of some findings.
    """
    terminology: Terminology = context.validator.terminology
    if terminology.is_known_clean("quantity", quantity, context.resource):
        return
    system, code = quantity.get("system"), quantity.get("code")
    if system is None or code is None:
        return
    if _is_invalid_system(quantity, context, findings, bound=bound):
        return
    result = terminology.validate_coding(system, code)
    if result.problems:
        _report(result, quantity, findings)
    else:
        terminology.remember_clean("quantity", quantity, context.resource, result)


def check_identifier(identifier: Json, context: ResourceContext, findings: list[Finding]) -> None:
    """Validate the system of an Identifier.  https://hl7.org/fhir/R4/datatypes.html#Identifier"""
    del context  # every check takes one
    system, value = identifier.get("system"), identifier.get("value")
    if system is None:
        return
    if not is_absolute(system):
        findings.append(Finding("identifier-system"))
    elif system == _URI_SYSTEM and value is not None and not has_scheme(value):
        findings.append(Finding("identifier-uri"))


def _validate_coding(
    coding: Json, context: ResourceContext, *, display: bool = True
) -> CodingResult:
    """Validate a coding that has a system, with or without its display."""
    language = context.resource.get("language") or context.root.resource.get("language")
    terminology: Terminology = context.validator.terminology
    return terminology.validate_coding(
        coding["system"],
        coding.get("code"),
        version=coding.get("version"),
        display=coding.get("display") if display else None,
        language=language,
    )


def _is_invalid(coding: Json, context: ResourceContext) -> bool:
    """Return True if a coding cannot be in any value set; ignore a wrong display."""
    return _validate_coding(coding, context, display=False).is_invalid


def _report(result: CodingResult, coding: Json, findings: list[Finding], *path: str | int) -> None:
    """Append a finding for each problem of a coding."""
    for problem in result.problems:
        steps = (*path, problem.step) if problem.step else path
        fix: tuple[Json, ...] = ()
        if problem.rule == "display-spacing":
            fix = _replace_with(problem.values["display"])
        elif problem.rule == "code-case":
            fix = _replace_with(problem.values["code"])
        elif problem.rule == "unknown-code" and problem.values["near"]:
            fix = _replace_with(problem.values["near"])
        value = coding.get(problem.step or "code")
        findings.append(_finding(problem, value, *steps, fix=fix))


def _finding(
    problem: CodingProblem, value: Any, *path: str | int, fix: tuple[Json, ...] = ()
) -> Finding:
    values: Json = {**problem.values, "value": value}
    return Finding(problem.rule, *path, fix=fix, **values)


def _replace_with(value: str) -> tuple[Json, ...]:
    """Return the JSON Patch that replaces the value at the finding's location."""
    return ({"op": "replace", "path": "", "value": value},)


def _is_invalid_system(
    coding: Json, context: ResourceContext, findings: list[Finding], *, bound: bool
) -> bool:
    """Report a system that identifies no code system; return True if there is such a finding."""
    system: str = coding["system"]
    path = ("system",) if bound else ()
    canonical = canonical_system(system)
    if canonical is not None:
        severity: Severity | None = None if is_absolute(system) else "error"
        findings.append(_misspelled_system(canonical, coding, severity, "system"))
        return True
    if not is_absolute(system):
        findings.append(Finding("relative-system", *path, value=system))
        return True
    terminology: Terminology = context.validator.terminology
    if terminology.system(system) is None and terminology.value_set(system) is not None:
        findings.append(Finding("value-set-as-system", *path, value_set=system))
        return True
    return False


def _misspelled_system(
    canonical: str, coding: Json, severity: Severity | None, *path: str | int
) -> Finding:
    """Return the finding for an alias of a code system."""
    return Finding(
        "misspelled-system",
        *path,
        severity=severity,
        fix=_replace_with(canonical),
        canonical=canonical,
        value=coding["system"],
    )


# --- bindings of a code, string or uri


def _bind_code(
    code: str, binding: _Binding, context: ResourceContext, findings: list[Finding]
) -> None:
    terminology: Terminology = context.validator.terminology
    is_member = terminology.contains(binding.value_set, None, code)
    if is_member is False:
        if binding.max_value_set is not None and binding.strength != "required":
            if terminology.contains(binding.max_value_set, None, code) is False:
                findings.append(
                    Finding("maximum-binding", value=code, value_set=binding.max_value_set)
                )
                return
            if binding.strength == "extensible":
                return
        is_required = binding.strength == "required"
        fix = _fix_spelling(code, binding.value_set, terminology) if is_required else ()
        values = _binding_values(code, binding.value_set, terminology)
        findings.append(Finding(_RULE_BY_STRENGTH[binding.strength], fix=fix, **values))
    elif is_member and (system := terminology.system_of_code(binding.value_set, code)) is not None:
        problems = terminology.validate_coding(system, code).problems
        findings += [_finding(problem, code) for problem in problems]


def _binding_values(code: Any, value_set: str, terminology: Terminology) -> Json:
    """Return the values of a binding's message; it lists the codes if they are few."""
    codes = terminology.codes_without_problems(value_set)
    listed = sorted(codes) if len(codes) <= _MAX_LISTED_CODES else ()
    hint = f": use one of {', '.join(listed)}" if listed else ": use one of its codes"
    return {"value": code, "value_set": value_set, "hint": hint}


def _fix_spelling(code: str, value_set: str, terminology: Terminology) -> tuple[Json, ...]:
    """Return the fix to the one code that differs only in case and outer white space."""
    folded = code.strip().lower()
    codes = terminology.codes_without_problems(value_set)
    near = [known for known in codes if known.lower() == folded]
    return _replace_with(near[0]) if len(near) == 1 else ()


# --- bindings of a Coding or a Quantity


def _bind_coding(
    coding: Json, binding: _Binding, context: ResourceContext, findings: list[Finding]
) -> None:
    if "system" not in coding or "code" not in coding:
        return
    terminology: Terminology = context.validator.terminology
    if _is_member(coding, binding.value_set, context) is not False:
        return
    if binding.max_value_set is not None and binding.strength == "extensible":
        if _is_member(coding, binding.max_value_set, context) is False:
            findings.append(
                Finding("maximum-binding", value=coding["code"], value_set=binding.max_value_set)
            )
        return
    values = _binding_values(coding["code"], binding.value_set, terminology)
    findings.append(Finding(_RULE_BY_STRENGTH[binding.strength], **values))


def _is_member(coding: Json, value_set: str, context: ResourceContext) -> bool | None:
    """Return whether a coding with a system is valid and in a value set; None if undecided."""
    if _is_invalid(coding, context):
        return False
    code = coding.get("code")
    if code is None:
        return False
    terminology: Terminology = context.validator.terminology
    return terminology.contains(value_set, coding["system"], code)


# --- bindings of a CodeableConcept


def _bind_concept(
    concept: Json, binding: _Binding, context: ResourceContext, findings: list[Finding]
) -> None:
    terminology: Terminology = context.validator.terminology
    codings = concept.get("coding", ())
    only = codings[0] if len(codings) == 1 else None
    if only is not None and terminology.is_known_clean(binding.value_set, only, context.resource):
        return
    codings = [coding for coding in codings if not _CODING_PARTS.isdisjoint(coding)]
    if not codings:
        _check_concept_without_codings(binding, terminology, findings)
        return
    is_member = _has_member(codings, binding.value_set, context)
    if is_member and only is not None and "system" in only:
        result = _validate_coding(only, context)
        terminology.remember_clean(binding.value_set, only, context.resource, result)
    if is_member is not False:
        return
    if (
        binding.max_value_set is not None
        and binding.strength == "extensible"
        and _has_member(codings, binding.max_value_set, context) is False
    ):
        findings.append(Finding("maximum-binding", value_set=binding.max_value_set))
    values = _binding_values(None, binding.value_set, terminology)
    findings.append(Finding(_RULE_BY_STRENGTH[binding.strength], **values))


def _check_concept_without_codings(
    binding: _Binding, terminology: Terminology, findings: list[Finding]
) -> None:
    """Report a concept with text alone, whatever codes the value set has."""
    if terminology.value_set(binding.value_set) is None:
        terminology.add_unchecked(binding.value_set, "the value set is not here")
    elif binding.strength == "required":
        findings.append(Finding("required-coding", value_set=binding.value_set))
    elif binding.strength == "extensible" and binding.max_value_set is not None:
        findings.append(Finding("maximum-coding", value_set=binding.max_value_set))
    elif binding.strength == "extensible":
        findings.append(Finding("extensible-coding", value_set=binding.value_set))


def _has_member(codings: list[Json], value_set: str, context: ResourceContext) -> bool | None:
    """Return whether a coding is in a value set and none is invalid; None if undecided."""
    terminology: Terminology = context.validator.terminology
    answers = [
        _is_member(coding, value_set, context)
        if "system" in coding
        else _is_unambiguous(coding, value_set, terminology)
        for coding in codings
    ]
    if any("system" in coding and _is_invalid(coding, context) for coding in codings):
        return False if terminology.value_set(value_set) is not None else None
    if True in answers:
        return True
    return None if None in answers else False


def _is_unambiguous(coding: Json, value_set: str, terminology: Terminology) -> bool:
    """Return True if a coding without system can mean only one code of a value set."""
    code = coding.get("code")
    return code is not None and terminology.is_code_unambiguous(value_set, code)
