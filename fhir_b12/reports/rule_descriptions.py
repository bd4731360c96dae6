"""What a rule says, why, and where it stands: for `--explain` and for the reports that list rules.

Most rules are the validator's own (`validation/rules/*.toml`); R4's invariants are known by their
key (`obs-6`) from the definitions; the faults of JSON have a name each here.
"""

import re
from collections.abc import Iterable
from functools import cache
from itertools import chain

import msgspec

from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.reports.file_results import rule_of
from fhir_b12.validation import findings

_DIFFERS = re.compile(r"\{\w+\}")
_R4 = "https://hl7.org/fhir/R4"
_PROFILE = "A profile that was asked for or declared says so."


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in words."""

    id: str
    stage: str = ""
    severity: str = "error"
    says: str = ""  #: what is wrong and the remedy, an ellipsis for what differs each time
    why: str = ""
    source: str = ""
    expression: str = ""  #: FHIRPath of an invariant


def explain(rule: str) -> Explained | None:
    """The rule of an id, None where it is not known."""
    if own := findings.rules().get(rule):
        return Explained(
            id=rule,
            stage=own.stage,
            severity=own.severity,
            says=_DIFFERS.sub("…", own.message.replace("{hint}", "")),
            why=own.why,
            source=own.source,
        )
    return _invariants().get(rule) or _JSON.get(rule)


def known() -> list[Explained]:
    """Every rule, by stage and id."""
    own = (explain(rule) for rule in findings.rules())
    every = chain(_invariants().values(), _JSON.values(), (each for each in own if each))
    named = {each.id: each for each in every}.values()
    return sorted(named, key=lambda each: (_ORDER.get(each.stage, 9), each.stage, each.id))


def told(issues: Iterable[Issue]) -> list[Explained]:
    """The rules that issues tell of, each once, in the order they come."""
    first: dict[str, Issue] = {}
    for issue in issues:
        first.setdefault(rule_of(issue), issue)
    return [explain(rule) or _of(rule, issue) for rule, issue in first.items()]


def _of(rule: str, issue: Issue) -> Explained:
    """A rule that a profile or a package brought: all that is known is what the issue says."""
    return Explained(
        id=rule,
        stage=issue.stage or "json",
        severity=issue.severity,
        says=issue.message,
        why=_PROFILE if issue.stage == "profiles" else "",
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
def _invariants() -> dict[str, Explained]:
    """R4's own constraints by key."""
    types = sorted(R4.resource_types | R4.data_types)
    stated = (each for name in types for each in R4.invariants(name))
    return {
        each.key: Explained(
            id=each.key,
            stage="invariants",
            severity=each.severity,
            says=each.human,
            why=f"{each.path} must satisfy this in every FHIR R4 resource.",
            source=f"{_R4}/{each.path.partition('.')[0].lower()}.html",
            expression=each.expression,
        )
        for each in stated
    }


_JSON = {
    each.id: each
    for each in (
        Explained(
            id="json-structure",
            stage="json",
            severity="fatal",
            says="The text is no JSON; mend it at the place that is shown.",
            why="Nothing can be read of a text that is no JSON, and the same key twice in one "
            "object is read in a different way by each reader.",
            source=f"{_R4}/json.html",
        ),
        Explained(
            id="json-value",
            stage="json",
            says="A number or a character that JSON or FHIR does not have; leave it out.",
            why="NaN, infinity, U+0000 and half a surrogate pair cannot travel between systems.",
            source=f"{_R4}/datatypes.html#string",
        ),
        Explained(
            id="json-too-long",
            stage="json",
            severity="fatal",
            says="The text is longer than the limit; split it or raise --max-bytes.",
            why="A limit keeps one file from taking all memory.",
            source=f"{_R4}/security.html",
        ),
        Explained(
            id="json-too-costly",
            stage="json",
            severity="fatal",
            says="The text is nested more deeply than any resource; flatten it.",
            why="Text made to exhaust its reader is nested so; no resource is.",
            source=f"{_R4}/security.html",
        ),
    )
}
