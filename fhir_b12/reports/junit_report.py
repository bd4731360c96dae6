"""JUnit XML for CI systems: one suite for each file, one test case for each resource.

https://github.com/testmoapp/junitxml describes the format; there is no standard.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from fhir_b12.issues import Issue
from fhir_b12.reports.file_results import (
    FileResult,
    ReportOptions,
    ResourcePart,
    pluralize,
    rule_id,
)

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(results: Sequence[FileResult], _: ReportOptions) -> str:
    """Return JUnit XML: a failure for each resource with errors, warnings in `system-out`."""
    suites = [line for result in results for line in _suite(result)]
    totals = _attributes(
        name="fhir-b12 validate",
        tests=str(sum(max(len(result.parts), 1) for result in results)),
        failures=str(sum(map(_count_failures, results))),
        errors=str(sum(result.read_error is not None for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return "\n".join((head, f"<testsuites{totals}>", *suites, "</testsuites>", ""))


def _count_failures(result: FileResult) -> int:
    """Return the number of resources with an error."""
    parts = len(result.parts)
    failed = (
        finding.part if finding.part < parts else 0
        for finding in result.findings
        if finding.issue.is_error
    )
    return len(set(failed))


def _suite(result: FileResult) -> Iterator[str]:
    parts = result.parts or (ResourcePart(),)
    totals = _attributes(
        name=result.file,
        tests=str(len(parts)),
        failures=str(_count_failures(result)),
        errors=str(int(result.read_error is not None)),
        time=f"{result.seconds:.3f}",
    )
    yield f"  <testsuite{totals}>"
    issues: dict[int, list[Issue]] = {}
    for finding in result.findings:
        part = finding.part if finding.part < len(parts) else 0
        issues.setdefault(part, []).append(finding.issue)
    for number, part_of_file in enumerate(parts):
        name = _attributes(classname=result.file, name=str(part_of_file), file=result.file)
        yield f"    <testcase{name}>"
        if result.read_error is not None:
            yield f"      <error{_attributes(type='unreadable', message=result.read_error)}/>"
        yield from _case(issues.get(number, ()))
        yield "    </testcase>"
    yield "  </testsuite>"


def _case(issues: Sequence[Issue]) -> Iterator[str]:
    """Yield the failure of a test case, then its warnings."""
    errors = [issue for issue in issues if issue.is_error]
    others = [issue for issue in issues if not issue.is_error]
    if errors:
        first = errors[0]
        more = "" if len(errors) == 1 else f" (and {pluralize(len(errors) - 1, 'error')} more)"
        head = _attributes(type=rule_id(first), message=first.message + more)
        yield f"      <failure{head}>{_issue_lines(errors)}</failure>"
    if others:
        yield f"      <system-out>{_issue_lines(others)}</system-out>"


def _issue_line(issue: Issue) -> str:
    position = f"{issue.line}:{issue.column or 1}: " if issue.line else ""
    return f"{position}{issue.severity} [{rule_id(issue)}] {issue.expression}: {issue.message}"


def _attributes(**values: str) -> str:
    """Return XML attributes, each with a space before it."""
    return "".join(f" {name}={quoteattr(_legal(value))}" for name, value in values.items())


def _issue_lines(issues: Iterable[Issue]) -> str:
    return escape(_legal("\n".join(map(_issue_line, issues))))


def _legal(text: str) -> str:
    """Return a text with the characters that XML 1.0 forbids replaced."""
    return _ILLEGAL.sub("\ufffd", text)
