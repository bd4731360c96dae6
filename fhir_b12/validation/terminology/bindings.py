"""Codes held to what they are bound to.  https://hl7.org/fhir/R4/terminologies.html#strength

Places and severities are those of HL7's validator: a code that is not in a required value set is an
error, in an extensible one a warning, in a preferred one a piece of advice. What cannot be told
without a terminology server is no finding; the terminology keeps it for the report.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding
from fhir_b12.validation.terminology.grammars import has_scheme, is_absolute

if TYPE_CHECKING:
    from fhir_b12.validation.terminology.service import Remark, Said, Terminology

Json = dict[str, Any]

_PARTS = frozenset({"system", "version", "code", "display"})
_MOST_SHOWN = 12  #: codes that a message names


class _Bound(NamedTuple):
    """What a value is bound to."""

    strength: str
    value_set: str
    ceiling: str | None


_URI = "urn:ietf:rfc:3986"
_BY_STRENGTH = {
    "required": "required-binding",
    "extensible": "extensible-binding",
    "preferred": "preferred-binding",
}


def check_binding(  # noqa: PLR0917 - all that a binding is
    value: Any,
    type_name: str,
    strength: str | None,
    value_set: str | None,
    ceiling: str | None,
    context: ResourceContext,
    found: list[Finding],
) -> None:
    """Hold a coded value to its value set; None is a primitive that has extensions and no value.

    What is said of a coding by itself is not said again: see `check_codeable_concept` and the like.
    """
    if value_set is None or strength not in _BY_STRENGTH:
        return
    if isinstance(value, str):
        if value not in context.validator.terminology.plain(value_set):
            _bind_code(value, _Bound(strength, value_set, ceiling), context, found)
    elif value is None:
        if strength == "required":
            found.append(Finding("code-missing", value_set=value_set))
    elif not isinstance(value, dict):
        return
    elif type_name == "CodeableConcept":
        _bind_concept(value, _Bound(strength, value_set, ceiling), context, found)
    else:
        _bind_coding(value, _Bound(strength, value_set, ceiling), context, found)


def check_codeable_concept(concept: Json, context: ResourceContext, found: list[Finding]) -> None:
    """What holds of each coding of a CodeableConcept, whatever it is bound to.

    https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
    """
    codings = concept.get("coding", ())
    terminology: Terminology = context.validator.terminology
    for index, coding in enumerate(codings):
        if terminology.is_quiet("concept", coding, context.resource):
            continue
        if "system" not in coding:
            if not all(map(_PARTS.isdisjoint, codings)):
                found.append(Finding("concept-without-system", "coding", index))
            continue
        said = _said(coding, context)
        if said.remarks:
            _report(said, coding, found, "coding", index)
        else:
            terminology.keep_quiet("concept", coding, context.resource, said)


def check_coding(
    coding: Json, context: ResourceContext, found: list[Finding], *, bound: bool = False
) -> None:
    """What holds of a Coding that stands alone.  https://hl7.org/fhir/R4/datatypes.html#Coding

    `bound`: a value set is recommended or required here, which moves the place of some findings.
    """
    terminology: Terminology = context.validator.terminology
    if terminology.is_quiet("coding", coding, context.resource):
        return
    system, code = coding.get("system"), coding.get("code")
    if system is None:
        if code is not None:
            found.append(Finding("coding-without-system"))
        return
    if _is_no_system(system, context, found, bound=bound) or code is None:
        return
    said = _said(coding, context)
    if said.remarks:
        _report(said, coding, found)
    else:
        terminology.keep_quiet("coding", coding, context.resource, said)


def check_quantity(
    quantity: Json, context: ResourceContext, found: list[Finding], *, bound: bool = False
) -> None:
    """What holds of the unit of a Quantity.  https://hl7.org/fhir/R4/datatypes.html#Quantity"""
    terminology: Terminology = context.validator.terminology
    if terminology.is_quiet("quantity", quantity, context.resource):
        return
    system, code = quantity.get("system"), quantity.get("code")
    if system is None or code is None or _is_no_system(system, context, found, bound=bound):
        return
    said = terminology.remarks(system, code)
    if said.remarks:
        _report(said, quantity, found)
    else:
        terminology.keep_quiet("quantity", quantity, context.resource, said)


def check_identifier(identifier: Json, context: ResourceContext, found: list[Finding]) -> None:
    """What holds of the system of an Identifier.  https://hl7.org/fhir/R4/datatypes.html#Identifier"""
    del context  # every check has it
    system, value = identifier.get("system"), identifier.get("value")
    if system is None:
        return
    if not is_absolute(system):
        found.append(Finding("identifier-system"))
    elif system == _URI and value is not None and not has_scheme(value):
        found.append(Finding("identifier-uri"))


def _said(coding: Json, context: ResourceContext, *, display: bool = True) -> "Said":
    """All that is said of a coding with a system, its display left aside if asked for."""
    language = context.resource.get("language") or context.root.resource.get("language")
    said: Said = context.validator.terminology.remarks(
        coding["system"],
        coding.get("code"),
        version=coding.get("version"),
        display=coding.get("display") if display else None,
        language=language,
    )
    return said


def _is_wrong(coding: Json, context: ResourceContext) -> bool:
    """True where it is in no value set; that its display is another's does not move the code."""
    return _said(coding, context, display=False).is_wrong


def _report(said: "Said", coding: Json, found: list[Finding], *path: str | int) -> None:
    for remark in said.remarks:
        steps = (*path, remark.step) if remark.step else path
        fix: tuple[Json, ...] = ()
        if remark.rule == "display-spacing":
            fix = _replaced(remark.values["display"])
        elif remark.rule == "code-case":
            fix = _replaced(remark.values["code"])
        elif remark.rule == "unknown-code" and remark.values["near"]:
            fix = _replaced(remark.values["near"])
        value = coding.get(remark.step or "code")
        found.append(_finding(remark, value, *steps, fix=fix))


def _finding(remark: "Remark", value: Any, *path: str | int, fix: tuple[Json, ...] = ()) -> Finding:
    values: Json = {**remark.values, "value": value}
    return Finding(remark.rule, *path, fix=fix, **values)


def _replaced(value: str) -> tuple[Json, ...]:
    return ({"op": "replace", "path": "", "value": value},)


def _is_no_system(
    system: str, context: ResourceContext, found: list[Finding], *, bound: bool
) -> bool:
    """Whether what should identify a code system cannot; then that is said."""
    step = ("system",) if bound else ()
    if not is_absolute(system):
        found.append(Finding("relative-system", *step, value=system))
        return True
    terminology: Terminology = context.validator.terminology
    if terminology.system(system) is None and terminology.value_set(system) is not None:
        found.append(Finding("value-set-as-system", *step, value_set=system))
        return True
    return False


# --- a code, string or uri


def _bind_code(
    code: str,
    to: _Bound,
    context: ResourceContext,
    found: list[Finding],
) -> None:
    terminology: Terminology = context.validator.terminology
    inside = terminology.contains(to.value_set, None, code)
    if inside is False:
        if to.ceiling is not None and to.strength != "required":
            below = terminology.contains(to.ceiling, None, code)
            if below is False:
                found.append(Finding("maximum-binding", value=code, value_set=to.ceiling))
                return
            if to.strength == "extensible":
                return
        values = _values(code, to.value_set, terminology)
        fix = _near(code, to.value_set, terminology) if to.strength == "required" else ()
        found.append(Finding(_BY_STRENGTH[to.strength], fix=fix, **values))
    elif inside and (system := terminology.owner(to.value_set, code)) is not None:
        found += [_finding(each, code) for each in terminology.remarks(system, code).remarks]


def _values(code: Any, value_set: str, terminology: "Terminology") -> Json:
    """What a message says of a value set, and the codes in it where they are few."""
    known = terminology.plain(value_set)
    few = sorted(known) if len(known) <= _MOST_SHOWN else ()
    hint = f": one of {', '.join(few)}" if few else ""
    return {"value": code, "value_set": value_set, "hint": hint}


def _near(code: str, value_set: str, terminology: "Terminology") -> tuple[Json, ...]:
    """The one code that differs by case and outer white space only."""
    folded = code.strip().lower()
    near = [each for each in terminology.plain(value_set) if each.lower() == folded]
    return _replaced(near[0]) if len(near) == 1 else ()


# --- a Coding or a Quantity


def _bind_coding(
    coding: Json,
    to: _Bound,
    context: ResourceContext,
    found: list[Finding],
) -> None:
    if "system" not in coding or "code" not in coding:
        return
    terminology: Terminology = context.validator.terminology
    if _is_inside(coding, to.value_set, context) is not False:
        return
    if to.ceiling is not None and to.strength == "extensible":
        if _is_inside(coding, to.ceiling, context) is False:
            found.append(Finding("maximum-binding", value=coding["code"], value_set=to.ceiling))
        return
    values = _values(coding["code"], to.value_set, terminology)
    found.append(Finding(_BY_STRENGTH[to.strength], **values))


def _is_inside(coding: Json, value_set: str, context: ResourceContext) -> bool | None:
    """Whether a coding with a system is right and in a value set; None: cannot be told."""
    if _is_wrong(coding, context):
        return False
    code = coding.get("code")
    if code is None:
        return False
    terminology: Terminology = context.validator.terminology
    inside = terminology.contains(value_set, coding["system"], code)
    version = coding.get("version")
    if version and inside is not False and terminology.system(coding["system"]) is not None:
        return inside if terminology.system(coding["system"], version) is not None else None
    return inside


# --- a CodeableConcept


def _bind_concept(
    concept: Json,
    to: _Bound,
    context: ResourceContext,
    found: list[Finding],
) -> None:
    terminology: Terminology = context.validator.terminology
    codings = concept.get("coding", ())
    alone = codings[0] if len(codings) == 1 else None
    if alone is not None and terminology.is_quiet(to.value_set, alone, context.resource):
        return
    codings = [each for each in codings if not _PARTS.isdisjoint(each)]
    if not codings:
        _without_codings(to, terminology, found)
        return
    held = _holds(codings, to.value_set, context)
    if held and alone is not None and "system" in alone:
        terminology.keep_quiet(to.value_set, alone, context.resource, _said(alone, context))
    if held is not False:
        return
    if (
        to.ceiling is not None
        and to.strength == "extensible"
        and _holds(codings, to.ceiling, context) is False
    ):
        found.append(Finding("maximum-binding", value_set=to.ceiling))
    values = _values(None, to.value_set, terminology)
    found.append(Finding(_BY_STRENGTH[to.strength], **values))


def _without_codings(
    to: _Bound,
    terminology: "Terminology",
    found: list[Finding],
) -> None:
    """A text cannot be held to a value set, whatever it holds."""
    if terminology.value_set(to.value_set) is None:
        terminology.leave_unchecked(to.value_set, "the value set is not here")
    elif to.strength == "required":
        found.append(Finding("required-coding", value_set=to.value_set))
    elif to.strength == "extensible" and to.ceiling is not None:
        found.append(Finding("maximum-coding", value_set=to.ceiling))
    elif to.strength == "extensible":
        found.append(Finding("extensible-coding", value_set=to.value_set))


def _holds(codings: list[Json], value_set: str, context: ResourceContext) -> bool | None:
    """Whether one of several codings is in a value set and none is wrong; None: cannot be told."""
    answers = [_of_one(each, value_set, context) for each in codings]
    wrong = any("system" in each and _is_wrong(each, context) for each in codings)
    if wrong:
        terminology: Terminology = context.validator.terminology
        return False if terminology.value_set(value_set) is not None else None
    if True in answers:
        return True
    return None if None in answers else False


def _of_one(coding: Json, value_set: str, context: ResourceContext) -> bool | None:
    if "system" in coding:
        return _is_inside(coding, value_set, context)
    code = coding.get("code")
    return code is not None and context.validator.terminology.alone(value_set, code)
