"""SARIF 2.1.0, as code scanning reads it.  https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from fhir_b12.issues import Issue, Severity
from fhir_b12.jsonio import dumps
from fhir_b12.reports.file_results import Checked, Found, Options, rule_of, unchecked
from fhir_b12.reports.rule_descriptions import Explained, told

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


def as_sarif(results: Sequence[Checked], options: Options) -> str:
    """One run: the rules that were met, each finding with its region and a fingerprint."""
    rules = told(found.issue for result in results for found in result.found)
    places = {rule.id: number for number, rule in enumerate(rules)}
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
            each for index, result in enumerate(results) for each in _results(result, index, places)
        ],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return dumps(log, indent=2).decode() + "\n"


def _rule(rule: Explained) -> dict[str, Any]:
    """A reportingDescriptor (3.49)."""
    says, why = rule.says or rule.id, rule.why or rule.says or rule.id
    told: dict[str, Any] = {
        "id": rule.id,
        "shortDescription": {"text": says},
        "fullDescription": {"text": why},
        "help": {"text": f"{says}\n\n{why}" + (f"\n\n{rule.source}" if rule.source else "")},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["fhir", *filter(None, [rule.stage])]},
    }
    if rule.source.startswith(("http://", "https://")):
        told["helpUri"] = quote(rule.source, safe=":/?#[]@!$&'()*+,;=%")
    return told


def _invocation(results: Sequence[Checked]) -> dict[str, Any]:
    """What could not be read or not be checked (3.20)."""
    unread = [
        {
            "level": "error",
            "message": {"text": result.trouble},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(result.file)}}}],
        }
        for result in results
        if result.trouble is not None
    ]
    notes = [
        {"level": "note", "message": {"text": issue.message}} for issue, _ in unchecked(results)
    ]
    return {"executionSuccessful": not unread, "toolExecutionNotifications": [*unread, *notes]}


def _results(result: Checked, index: int, places: dict[str, int]) -> Iterator[dict[str, Any]]:
    seen: Counter[tuple[str, str]] = Counter()
    for found in result.found:
        issue = found.issue
        seen[rule_of(issue), issue.expression] += 1
        nth = seen[rule_of(issue), issue.expression]
        yield {
            "ruleId": rule_of(issue),
            "ruleIndex": places[rule_of(issue)],
            "level": _LEVELS[issue.severity],
            "message": {"text": issue.message},
            "locations": [_location(result, index, found)],
            "partialFingerprints": {"fhirB12/v1": fingerprint(result.file, issue, nth)},
            "properties": _properties(issue),
        }


def _properties(issue: Issue) -> dict[str, Any]:
    named: dict[str, Severity | str | None] = {
        "severity": issue.severity,
        "code": issue.code,
        "stage": issue.stage,
        "pointer": issue.pointer,
    }
    told: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    return {**told, "fixable": True} if issue.fix else told


def _location(result: Checked, index: int, found: Found) -> dict[str, Any]:
    """Where it stands in the file, and in the resource (3.28)."""
    issue, excerpt = found.issue, found.excerpt
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(result.file), "index": index}}
    if issue.line:
        region: dict[str, Any] = {"startLine": issue.line, "startColumn": issue.column or 1}
        if excerpt is not None:
            region["snippet"] = {"text": excerpt.text}
        place["region"] = region
    location: dict[str, Any] = {"physicalLocation": place}
    if issue.expression:
        location["logicalLocations"] = [{"fullyQualifiedName": issue.expression, "kind": "member"}]
    return location


def fingerprint(file: str, issue: Issue, nth: int) -> str:
    """The same for the same fault when lines shift above it."""
    text = "\0".join((file, rule_of(issue), issue.expression, str(nth)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _uri(file: str) -> str:
    """A relative reference (3.4.3), or file:// for an absolute path."""
    path = quote(file.replace("\\", "/").encode("utf-8", "surrogateescape"), safe="/-._~")
    return f"file://{path}" if path.startswith("/") else path
