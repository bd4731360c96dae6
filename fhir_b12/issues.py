"""What is wrong with data, said as a value.  https://hl7.org/fhir/R4/operationoutcome.html"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Severity = Literal["fatal", "error", "warning", "information"]
SEVERITIES: tuple[Severity, ...] = ("fatal", "error", "warning", "information")


class Issue(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong: how bad, of which kind, where, what and the remedy.

    `code` is from https://hl7.org/fhir/R4/valueset-issue-type.html, `expression` a FHIRPath
    (`Observation.component[0].code`), `message` names thing, place and remedy and never a
    patient's value. `line` and `column` count from 1 and are there when the text was at hand.
    """

    severity: Severity
    code: str
    expression: str
    message: str
    rule: str | None = None  #: the rule's id, e.g. "obs-6"
    line: int | None = None
    column: int | None = None
    source: str | None = None  #: link to the rule
    stage: str | None = None  #: which stage of the validation found it: "structure", ...
    pointer: str | None = None  #: the JSON Pointer of the place: "/component/0/valueQuantity"
    fix: tuple[dict[str, Any], ...] = ()  #: a JSON Patch that mends it, where one is sure

    @property
    def is_error(self) -> bool:
        """True where the data cannot be used as it stands."""
        return self.severity in {"fatal", "error"}

    def __str__(self) -> str:
        """`error required Observation.subject (3:7): patient is missing`"""
        place = f" ({self.line}:{self.column or 1})" if self.line else ""
        return f"{self.severity} {self.code} {self.expression}{place}: {self.message}"


def worst(issues: Iterable[Issue]) -> Severity | None:
    """The gravest severity among issues, None when there are none."""
    found = {issue.severity for issue in issues}
    return next((severity for severity in SEVERITIES if severity in found), None)


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """An OperationOutcome resource; one that says all is well when there are no issues."""
    entries = [_entry(issue) for issue in issues]
    return {"resourceType": "OperationOutcome", "issue": entries or [_ALL_WELL.copy()]}


_ALL_WELL = {"severity": "information", "code": "informational", "diagnostics": "No issues found."}
_LINE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line"
_COLUMN = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col"


def _entry(issue: Issue) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if issue.line is not None:
        entry["extension"] = [
            {"url": url, "valueInteger": number}
            for url, number in ((_LINE, issue.line), (_COLUMN, issue.column))
            if number is not None
        ]
    entry |= {"severity": issue.severity, "code": issue.code}
    if issue.rule:
        entry["details"] = {"text": issue.rule}
    entry["diagnostics"] = issue.message
    if issue.expression:
        entry["expression"] = [issue.expression]
    return entry
