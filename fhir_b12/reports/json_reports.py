"""Reports for programs: JSON, NDJSON, OperationOutcome.  See docs/validating.md"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from fhir_b12 import issues
from fhir_b12.jsonio import dumps
from fhir_b12.reports.file_results import (
    FileResult,
    ReportOptions,
    count_by_severity,
    finding_to_json,
    total_counts,
    unchecked_reasons,
)

FORMAT = "fhir-b12-report/1"  #: changes when a name changes its meaning or is removed
_SOURCE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-source"


def as_json(results: Sequence[FileResult], options: ReportOptions) -> str:
    """Return all results as one JSON object; `report.schema.json` is its schema."""
    report = {
        "format": FORMAT,
        "version": options.version,
        "valid": all(result.valid for result in results),
        "counts": total_counts(results),
        "resources": sum(result.resources for result in results),
        "files": [_file_to_json(result, options) for result in results],
        "unchecked": [
            {"message": issue.message, "times": times}
            for issue, times in unchecked_reasons(results)
        ],
    }
    return _format_json(report)


def _format_json(value: Any) -> str:
    return dumps(value, indent=2).decode() + "\n"


def _file_to_json(result: FileResult, options: ReportOptions) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "file": result.file,
        "valid": result.valid,
        "counts": count_by_severity(result.issues),
        "resources": result.resources,
        "known": result.known,
        "findings": [finding_to_json(finding, options) for finding in result.findings],
    }
    return fields if result.read_error is None else {**fields, "trouble": result.read_error}


def as_ndjson(results: Iterable[FileResult], options: ReportOptions) -> str:
    """Return one line for each finding, and one with `trouble` for each unreadable file."""
    return "".join(dumps(line).decode() + "\n" for line in _ndjson_lines(results, options))


def _ndjson_lines(
    results: Iterable[FileResult], options: ReportOptions
) -> Iterator[dict[str, Any]]:
    for result in results:
        if result.read_error is not None:
            yield {"file": result.file, "trouble": result.read_error}
        for finding in result.findings:
            yield {"file": result.file, **finding_to_json(finding, options)}


def as_outcome(results: Sequence[FileResult], _: ReportOptions) -> str:
    """Return an OperationOutcome, or a Bundle of one for each file or NDJSON line with findings.

    https://hl7.org/fhir/R4/operationoutcome.html
    """
    outcomes = [
        outcome for result in results for outcome in _outcomes(result, name_file=len(results) > 1)
    ]
    if len(outcomes) == 1:
        return _format_json(outcomes[0])
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    if outcomes:
        bundle["entry"] = [{"resource": outcome} for outcome in outcomes]
    return _format_json(bundle)


def _outcomes(result: FileResult, *, name_file: bool) -> Iterator[dict[str, Any]]:
    """Yield the OperationOutcome of a file, or those of its lines."""
    if result.read_error is not None:
        unreadable = issues.Issue("fatal", "exception", "", result.read_error)
        yield _outcome([unreadable], result.file)
        return
    groups: list[list[issues.Issue]] = [list(result.issues)]
    if result.is_ndjson:
        by_line = groupby(result.issues, key=lambda issue: issue.line)
        groups = [list(group) for _, group in by_line] or [[]]
    groups[-1] += {issue.message: issue for issue in result.unchecked}.values()
    for group in groups:
        yield _outcome(group, result.file if name_file or len(groups) > 1 else "")


def _outcome(group: Sequence[issues.Issue], file: str) -> dict[str, Any]:
    """Return the OperationOutcome of some issues, each with its file if that is not ""."""
    outcome = issues.outcome(group)
    if file:
        source = {"url": _SOURCE, "valueString": file}
        for entry in outcome["issue"]:
            entry["extension"] = [source, *entry.get("extension", ())]
    return outcome
