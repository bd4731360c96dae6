"""SARIF 2.1.0 for code scanning.  https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from fhir_b12.issues import Issue, Severity
from fhir_b12.jsonio import dumps
from fhir_b12.reports.file_results import (
    FileFinding,
    FileResult,
    ReportOptions,
    iter_findings,
    rule_id,
    unchecked_reasons,
)
from fhir_b12.reports.rule_descriptions import RuleDescription, describe_rules_of

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_HOME = "https://fhir-b12.org/"
_LEVELS: dict[str, str] = {
    "fatal": "error",
    "error": "error",
    "warning": "warning",
    "information": "note",
}


def as_sarif(results: Sequence[FileResult], options: ReportOptions) -> str:
    """Return one SARIF run: the broken rules, each finding with its region and fingerprint."""
    rules = describe_rules_of(finding.issue for _, finding in iter_findings(results))
    rule_indices = {rule.id: number for number, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "fhir-b12",
                "semanticVersion": options.version,
                "informationUri": _HOME,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(results)],
        "artifacts": [
            {"location": {"uri": _uri(result.file)}, "mimeType": "application/fhir+json"}
            for result in results
        ],
        "results": [
            entry
            for file_index, result in enumerate(results)
            for entry in _results(result, file_index, rule_indices)
        ],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return dumps(log, indent=2).decode() + "\n"


def _rule(rule: RuleDescription) -> dict[str, Any]:
    """Return a reportingDescriptor (section 3.49)."""
    message = rule.message or rule.id
    rationale = rule.rationale or message
    source = f"\n\n{rule.source}" if rule.source else ""
    descriptor: dict[str, Any] = {
        "id": rule.id,
        "shortDescription": {"text": message},
        "fullDescription": {"text": rationale},
        "help": {"text": f"{message}\n\n{rationale}{source}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["fhir", *filter(None, [rule.stage])]},
    }
    if rule.source.startswith(("http://", "https://")):
        descriptor["helpUri"] = quote(rule.source, safe=":/?#[]@!$&'()*+,;=%")
    return descriptor


def _invocation(results: Sequence[FileResult]) -> dict[str, Any]:
    """Return what could not be read or checked, as an invocation (section 3.20)."""
    unreadable = [
        {
            "level": "error",
            "message": {"text": result.read_error},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(result.file)}}}],
        }
        for result in results
        if result.read_error is not None
    ]
    notes = [
        {"level": "note", "message": {"text": issue.message}}
        for issue, _ in unchecked_reasons(results)
    ]
    return {
        "executionSuccessful": not unreadable,
        "toolExecutionNotifications": [*unreadable, *notes],
    }


def _results(
    result: FileResult, file_index: int, rule_indices: dict[str, int]
) -> Iterator[dict[str, Any]]:
    occurrences: Counter[tuple[str, str]] = Counter()
    for finding in result.findings:
        issue = finding.issue
        rule = rule_id(issue)
        occurrences[rule, issue.expression] += 1
        nth = occurrences[rule, issue.expression]
        yield {
            "ruleId": rule,
            "ruleIndex": rule_indices[rule],
            "level": _LEVELS[issue.severity],
            "message": {"text": issue.message},
            "locations": [_location(result, file_index, finding)],
            "partialFingerprints": {"fhirB12/v1": fingerprint(result.file, issue, nth)},
            "properties": _properties(issue),
        }


def _properties(issue: Issue) -> dict[str, Any]:
    fields: dict[str, Severity | str | None] = {
        "severity": issue.severity,
        "code": issue.code,
        "stage": issue.stage,
        "pointer": issue.pointer,
    }
    properties: dict[str, Any] = {name: text for name, text in fields.items() if text is not None}
    return {**properties, "fixable": True} if issue.fix else properties


def _location(result: FileResult, file_index: int, finding: FileFinding) -> dict[str, Any]:
    """Return the location of a finding in the file and in the resource (section 3.28)."""
    issue, excerpt = finding.issue, finding.excerpt
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(result.file), "index": file_index}}
    if issue.line:
        region: dict[str, Any] = {"startLine": issue.line, "startColumn": issue.column or 1}
        if excerpt is not None:
            region["snippet"] = {"text": excerpt.text}
        physical["region"] = region
    location: dict[str, Any] = {"physicalLocation": physical}
    if issue.expression:
        location["logicalLocations"] = [{"fullyQualifiedName": issue.expression, "kind": "member"}]
    return location


def fingerprint(file: str, issue: Issue, nth: int) -> str:
    """Return a digest that identifies a finding although lines above it were added or removed."""
    text = "\0".join((file, rule_id(issue), issue.expression, str(nth)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _uri(file: str) -> str:
    """Return a relative reference (section 3.4.3), or file:// for an absolute path."""
    path = quote(file.replace("\\", "/").encode("utf-8", "surrogateescape"), safe="/-._~")
    return f"file://{path}" if path.startswith("/") else path
