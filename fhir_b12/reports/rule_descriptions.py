"""Descriptions of rules, for `--explain` and for the reports that list rules.

The validator's own rules come from `validation/rules/*.toml`, R4's invariants (`obs-6`) from the
definitions; the rules of JSON are listed here.
"""

import re
from collections.abc import Iterable
from functools import cache
from itertools import chain

import msgspec

from fhir_b12.definitions import R4
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.issues import Issue
from fhir_b12.reports.file_results import rule_id
from fhir_b12.validation import findings
from fhir_b12.validation.profiles.constraints import find_constraints

_PLACEHOLDER = re.compile(r"\{\w+\}")
_R4 = "https://hl7.org/fhir/R4"
_PROFILE = "Required by a profile that the resource declares or that was given with --profile."


class RuleDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, as `--explain` shows it."""

    id: str  #: "obs-6", "unknown-element"
    stage: str = ""  #: stage of the validation: "structure", "invariants", ...
    severity: str = "error"
    message: str = ""  #: what is wrong and what to do; an ellipsis for what differs each time
    rationale: str = ""  #: why the rule exists
    source: str = ""  #: link to the specification
    expression: str = ""  #: FHIRPath of an invariant


def describe_rule(rule: str) -> RuleDescription | None:
    """Return the description of a rule of the validator, of R4 or of JSON; None if unknown."""
    if own := findings.rules().get(rule):
        return RuleDescription(
            id=rule,
            stage=own.stage,
            severity=own.severity,
            message=_PLACEHOLDER.sub("…", own.message.replace("{hint}", "")),
            rationale=own.why,
            source=own.source,
        )
    return _invariants().get(rule) or _JSON.get(rule)


def describe_constraints(key: str, canonicals: Canonicals) -> list[RuleDescription]:
    """Return the constraints of a key, "us-core-1", in loaded packages and built-in profiles.

    Args:
        key: the key of the constraint; upper and lower case matter.
        canonicals: the definitions of the loaded packages.

    Returns:
        One description for each profile that defines the key; none if no profile does.

    """
    return [
        RuleDescription(
            id=constraint.key,
            stage="profiles",
            severity=constraint.severity,
            message=constraint.human,
            rationale=f"{constraint.element} must satisfy this in {constraint.profile} "
            f"({constraint.package}).",
            source=constraint.profile,
            expression=constraint.expression,
        )
        for constraint in find_constraints(key, canonicals)
    ]


def all_rules() -> list[RuleDescription]:
    """Return every rule of the validator, of R4 and of JSON, by stage and id."""
    own = (describe_rule(rule) for rule in findings.rules())
    rules = chain(_invariants().values(), _JSON.values(), (rule for rule in own if rule))
    unique = {rule.id: rule for rule in rules}.values()
    return sorted(unique, key=lambda rule: (_ORDER.get(rule.stage, 9), rule.stage, rule.id))


def describe_rules_of(issues: Iterable[Issue]) -> list[RuleDescription]:
    """Return the rules that the issues break, each once, in the order of the issues."""
    first: dict[str, Issue] = {}
    for issue in issues:
        first.setdefault(rule_id(issue), issue)
    return [describe_rule(rule) or _from_issue(rule, issue) for rule, issue in first.items()]


def _from_issue(rule: str, issue: Issue) -> RuleDescription:
    """Return the description of a rule of a profile, as far as an issue states it."""
    return RuleDescription(
        id=rule,
        stage=issue.stage or "json",
        severity=issue.severity,
        message=issue.message,
        rationale=_PROFILE if issue.stage == "profiles" else "",
        source=issue.source or "",
    )


#: Stages in the order in which they run; others follow.
_ORDER = {
    name: number
    for number, name in enumerate(
        ("json", "structure", "primitives", "invariants", "references", "bundle", "profiles")
    )
}


@cache
def _invariants() -> dict[str, RuleDescription]:
    """Return R4's own constraints by key."""
    types = sorted(R4.resource_types | R4.data_types)
    constraints = (constraint for type_name in types for constraint in R4.invariants(type_name))
    return {
        constraint.key: RuleDescription(
            id=constraint.key,
            stage="invariants",
            severity=constraint.severity,
            message=constraint.human,
            rationale=f"{constraint.path} must satisfy this in every FHIR R4 resource.",
            source=f"{_R4}/{constraint.path.partition('.')[0].lower()}.html",
            expression=constraint.expression,
        )
        for constraint in constraints
    }


_JSON = {
    rule.id: rule
    for rule in (
        RuleDescription(
            id="json-structure",
            stage="json",
            severity="fatal",
            message="The text is not valid JSON: correct it at the position shown.",
            rationale="Nothing can be read from a text that is not valid JSON, and readers "
            "disagree about a key that occurs twice in one object.",
            source=f"{_R4}/json.html",
        ),
        RuleDescription(
            id="json-value",
            stage="json",
            message="A number or character that JSON or FHIR does not allow: remove it.",
            rationale="NaN, infinity, U+0000 and unpaired surrogates cannot be exchanged "
            "between systems.",
            source=f"{_R4}/datatypes.html#string",
        ),
        RuleDescription(
            id="json-too-long",
            stage="json",
            severity="fatal",
            message="The text is longer than the limit: split it, or raise --max-bytes.",
            rationale="The limit keeps one file from using all memory.",
            source=f"{_R4}/security.html",
        ),
        RuleDescription(
            id="json-too-costly",
            stage="json",
            severity="fatal",
            message="The text is nested more deeply than any resource: flatten it.",
            rationale="No resource is nested so deeply; a text made to exhaust the parser is.",
            source=f"{_R4}/security.html",
        ),
    )
}
