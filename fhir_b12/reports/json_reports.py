"""Reports for programs: JSON, a finding a line, OperationOutcome.  See docs/validating.md"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from fhir_b12 import issues
from fhir_b12.jsonio import dumps
from fhir_b12.reports.file_results import Checked, Options, counts, facts, totals, unchecked

FORMAT = "fhir-b12-report/1"  #: changes when a name changes its meaning or goes
_SOURCE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-source"


def as_json(results: Sequence[Checked], options: Options) -> str:
    """All files in one object; `report.schema.json` is its schema."""
    whole = {
        "format": FORMAT,
        "version": options.version,
        "valid": all(result.valid for result in results),
        "counts": totals(results),
        "resources": sum(result.resources for result in results),
        "files": [_file(result, options) for result in results],
        "unchecked": [
            {"message": issue.message, "times": times} for issue, times in unchecked(results)
        ],
    }
    return dumps(whole, indent=2).decode() + "\n"


def _file(result: Checked, options: Options) -> dict[str, Any]:
    told: dict[str, Any] = {
        "file": result.file,
        "valid": result.valid,
        "counts": counts(result.issues),
        "resources": result.resources,
        "known": result.known,
        "findings": [facts(found, options) for found in result.found],
    }
    return told if result.trouble is None else {**told, "trouble": result.trouble}


def as_ndjson(results: Iterable[Checked], options: Options) -> str:
    """A finding a line, each with its file; a file that cannot be read is a line with `trouble`."""
    return "".join(dumps(line).decode() + "\n" for line in _lines(results, options))


def _lines(results: Iterable[Checked], options: Options) -> Iterator[dict[str, Any]]:
    for result in results:
        if result.trouble is not None:
            yield {"file": result.file, "trouble": result.trouble}
        for found in result.found:
            yield {"file": result.file, **facts(found, options)}


def as_outcome(results: Sequence[Checked], _: Options) -> str:
    """An OperationOutcome, or a Bundle of them: one a file, one a line of NDJSON that has findings.

    https://hl7.org/fhir/R4/operationoutcome.html
    """
    outcomes = [each for result in results for each in _outcomes(result, named=len(results) > 1)]
    if len(outcomes) == 1:
        return dumps(outcomes[0], indent=2).decode() + "\n"
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    if outcomes:
        bundle["entry"] = [{"resource": each} for each in outcomes]
    return dumps(bundle, indent=2).decode() + "\n"


def _outcomes(result: Checked, *, named: bool) -> Iterator[dict[str, Any]]:
    if result.trouble is not None:
        trouble = issues.Issue("fatal", "exception", "", result.trouble)
        yield _outcome([trouble], result.file)
        return
    line = {True: lambda issue: issue.line, False: lambda _: None}[result.by_line]
    lines = [list(group) for _, group in groupby(result.issues, key=line)] or [[]]
    lines[-1] += {issue.message: issue for issue in result.unchecked}.values()
    for found in lines:
        yield _outcome(found, result.file if named or len(lines) > 1 else "")


def _outcome(found: Sequence[issues.Issue], file: str) -> dict[str, Any]:
    outcome = issues.outcome(found)
    if file:
        source = {"url": _SOURCE, "valueString": file}
        for entry in outcome["issue"]:
            entry["extension"] = [source, *entry.get("extension", ())]
    return outcome
