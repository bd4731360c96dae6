"""Validation results by file: the input of every report.

A validator returns the issues of one resource. A report is about files: each with its findings, the
source lines they refer to, what could not be checked, and why a file could not be read.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fhir_b12.issues import SEVERITIES, Issue, Severity
from fhir_b12.printable import printable

INDEX = re.compile(r"\[\d+\]")


class Excerpt(msgspec.Struct, frozen=True, kw_only=True):
    """Source line of a finding, with the characters to highlight."""

    line: int  #: line number, from 1
    text: str  #: the line, shortened if long, its values masked unless they are to be shown
    start: int  #: offset in `text` of the first character to highlight
    width: int  #: number of characters to highlight


class FileFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One issue in one file."""

    issue: Issue
    part: int = 0  #: index in `FileResult.parts` of the resource it belongs to
    excerpt: Excerpt | None = None


class ResourcePart(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a file: the whole file, a line of NDJSON, or an entry of a Bundle."""

    location: str = ""  #: "", "line 3", "entry[3]"
    type: str = ""  #: "Observation"; "" if unknown

    def __str__(self) -> str:
        """Return e.g. `entry[3] Observation`."""
        return " ".join(filter(None, (self.location, self.type))) or "resource"


class FileResult(msgspec.Struct, frozen=True, kw_only=True):
    """Validation result of one file."""

    file: str  #: name as the user gave it; "-" for standard input
    findings: tuple[FileFinding, ...] = ()  #: in document order
    unchecked: tuple[Issue, ...] = ()  #: what could not be checked, and why
    resources: int = 0  #: number of resources validated
    is_ndjson: bool = False  #: each line is a resource of its own
    parts: tuple[ResourcePart, ...] = ()  #: () unless the report needs them
    source: tuple[str, ...] = ()  #: masked source lines; () if long or not needed
    known: int = 0  #: findings removed because the baseline lists them
    read_error: str | None = None  #: why the file could not be read; all else is then empty
    size: int = 0  #: bytes validated
    seconds: float = 0.0  #: time of validation

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The issues of all findings."""
        return tuple(finding.issue for finding in self.findings)

    @property
    def valid(self) -> bool:
        """True if the file was read and has no error."""
        return self.read_error is None and not any(issue.is_error for issue in self.issues)


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Appearance of a report."""

    show_values: bool = False  #: show the values of the data, not only keys
    colour: bool = False  #: colour the text report with ANSI escape codes
    verbose: bool = False  #: list each finding by itself instead of grouping similar ones
    version: str = "0"  #: version of fhir-b12, shown in the report


class FindingGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one file that differ only in list indices and lines."""

    first: FileFinding
    others: tuple[FileFinding, ...] = ()

    @property
    def count(self) -> int:
        """Number of findings in the group."""
        return 1 + len(self.others)


def group_findings(
    findings: Iterable[FileFinding], *, separate: bool = False
) -> list[FindingGroup]:
    """Group the findings that differ only in list indices and lines, in document order.

    Args:
        findings: the findings of one file.
        separate: put each finding in a group of its own.

    """
    if separate:
        return [FindingGroup(first=finding) for finding in findings]
    groups: dict[tuple[str, ...], list[FileFinding]] = {}
    for finding in findings:
        issue = finding.issue
        fixable = "fix" if issue.fix else ""
        path = without_indices(issue.expression)
        key = (issue.severity, rule_id(issue), issue.message, path, fixable)
        groups.setdefault(key, []).append(finding)
    return [FindingGroup(first=first, others=tuple(rest)) for first, *rest in groups.values()]


def without_indices(expression: str) -> str:
    """Return a FHIRPath with its indices removed: `name[3].given[0]` -> `name[].given[]`."""
    return INDEX.sub("[]", expression)


def rule_id(issue: Issue) -> str:
    """Return the rule of an issue; its stage and issue code if it has none, `json-structure`."""
    return issue.rule or f"{issue.stage or 'json'}-{issue.code}"


def count_by_severity(issues: Iterable[Issue]) -> dict[Severity, int]:
    """Return the number of issues of each severity, most severe first, zeros included."""
    numbers = Counter(issue.severity for issue in issues)
    return {severity: numbers[severity] for severity in SEVERITIES}


def total_counts(results: Sequence[FileResult]) -> dict[Severity, int]:
    """Return the number of issues of each severity in all files."""
    return count_by_severity(finding.issue for _, finding in iter_findings(results))


def unchecked_reasons(results: Iterable[FileResult]) -> list[tuple[Issue, int]]:
    """Return each reason why something was not checked, with the number of times it occurred."""
    reasons: dict[tuple[str, str], list[Issue]] = {}
    for result in results:
        for issue in result.unchecked:
            reasons.setdefault((rule_id(issue), issue.message), []).append(issue)
    return [(issues[0], len(issues)) for issues in reasons.values()]


def pluralize(number: int, noun: str) -> str:
    """Return `1 error`, `3 errors`, `2,000 files`."""
    plural = noun if number == 1 or noun == "information" else f"{noun}s"
    return f"{number:,} {plural}"


def format_counts(numbers: dict[Severity, int]) -> str:
    """Return `2 errors, 1 warning, 3 for information`; fatal issues count as errors."""
    errors = numbers["fatal"] + numbers["error"]
    counted = (("error", errors), ("warning", numbers["warning"]))
    parts = [pluralize(number, noun) for noun, number in counted if number]
    if numbers["information"]:
        parts.append(f"{numbers['information']:,} for information")
    return ", ".join(parts) or "no findings"


def sanitize(result: FileResult) -> FileResult:
    """Return the result with control characters in its texts escaped."""
    return msgspec.structs.replace(
        result,
        file=printable(result.file),
        findings=tuple(
            msgspec.structs.replace(finding, issue=_sanitize_issue(finding.issue))
            for finding in result.findings
        ),
        unchecked=tuple(map(_sanitize_issue, result.unchecked)),
        read_error=None if result.read_error is None else printable(result.read_error),
    )


_TEXT_FIELDS = ("code", "expression", "message", "rule", "source", "stage", "pointer")


def _sanitize_issue(issue: Issue) -> Issue:
    texts = {name: getattr(issue, name) for name in _TEXT_FIELDS}
    changed = {
        name: printable(text) for name, text in texts.items() if text and not text.isprintable()
    }
    return msgspec.structs.replace(issue, **changed) if changed else issue


def finding_to_json(finding: FileFinding, options: ReportOptions) -> dict[str, Any]:
    """Return one finding as JSON, without absent fields; `report.schema.json` describes them."""
    issue = finding.issue
    fields: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "rule": rule_id(issue),
        "stage": issue.stage,
        "message": issue.message,
        "expression": issue.expression,
        "pointer": issue.pointer,
        "line": issue.line,
        "column": issue.column,
        "source": issue.source,
        "fixable": bool(issue.fix),
    }
    if issue.fix and options.show_values:  # a fix may contain the patient's data
        fields["fix"] = list(issue.fix)
    return {name: value for name, value in fields.items() if value is not None}


def iter_findings(results: Iterable[FileResult]) -> Iterator[tuple[FileResult, FileFinding]]:
    """Yield each finding with the result of its file."""
    for result in results:
        for finding in result.findings:
            yield result, finding
