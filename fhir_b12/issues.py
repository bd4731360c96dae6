"""Issues: faults of data as values.  https://hl7.org/fhir/R4/operationoutcome.html"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Severity = Literal["fatal", "error", "warning", "information"]
SEVERITIES: tuple[Severity, ...] = ("fatal", "error", "warning", "information")


class Issue(msgspec.Struct, frozen=True, omit_defaults=True):
    """One issue: severity, code, location, message with remedy.

    `code` is from https://hl7.org/fhir/R4/valueset-issue-type.html, `expression` a FHIRPath
    (`Observation.component[0].code`). `message` names thing, place and remedy, and never contains a
    patient's value. `line` and `column` count from 1; None if the text is not known.
    """

    severity: Severity
    code: str
    expression: str
    message: str
    rule: str | None = None  #: id of the rule, e.g. "obs-6"
    line: int | None = None
    column: int | None = None
    source: str | None = None  #: link to the rule
    stage: str | None = None  #: stage of the validation: "structure", ...
    pointer: str | None = None  #: JSON Pointer of the location: "/component/0/valueQuantity"
    fix: tuple[dict[str, Any], ...] = ()  #: JSON Patch that fixes it; empty if no fix is certain

    @property
    def is_error(self) -> bool:
        """True if the severity is fatal or error."""
        return self.severity in {"fatal", "error"}

    def __str__(self) -> str:
        """`error required Observation.subject (3:7): patient is missing`"""
        position = f" ({self.line}:{self.column or 1})" if self.line else ""
        return f"{self.severity} {self.code} {self.expression}{position}: {self.message}"


def worst(issues: Iterable[Issue]) -> Severity | None:
    """Return the highest severity of some issues, None without issues."""
    severities = {issue.severity for issue in issues}
    return next((severity for severity in SEVERITIES if severity in severities), None)


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return issues as an OperationOutcome.

    Args:
        issues: the issues; without any, the OperationOutcome says that there are none.

    Returns:
        The resource as plain JSON.

    """
    entries = [_outcome_issue(issue) for issue in issues]
    return {"resourceType": "OperationOutcome", "issue": entries or [_NO_ISSUES.copy()]}


_NO_ISSUES = {"severity": "information", "code": "informational", "diagnostics": "No issues found."}
_LINE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line"
_COLUMN = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col"


def _outcome_issue(issue: Issue) -> dict[str, Any]:
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
