"""JUnit XML, as CI systems read it: a suite a file, a case a resource.

https://github.com/testmoapp/junitxml describes the form; there is no standard.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from fhir_b12.issues import Issue
from fhir_b12.reports.file_results import Checked, Options, Part, counted, rule_of

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(results: Sequence[Checked], _: Options) -> str:
    """A failure for each resource with an error; what is less grave stands in `system-out`."""
    suites = [line for result in results for line in _suite(result)]
    sums = _attributes(
        name="fhir-b12 validate",
        tests=str(sum(max(len(result.parts), 1) for result in results)),
        failures=str(sum(map(_failures, results))),
        errors=str(sum(result.trouble is not None for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return "\n".join((head, f"<testsuites{sums}>", *suites, "</testsuites>", ""))


def _failures(result: Checked) -> int:
    known = len(result.parts)
    parts = (each.part if each.part < known else 0 for each in result.found if each.issue.is_error)
    return len(set(parts))


def _suite(result: Checked) -> Iterator[str]:
    parts = result.parts or (Part(),)
    sums = _attributes(
        name=result.file,
        tests=str(len(parts)),
        failures=str(_failures(result)),
        errors=str(int(result.trouble is not None)),
        time=f"{result.seconds:.3f}",
    )
    yield f"  <testsuite{sums}>"
    found: dict[int, list[Issue]] = {}
    for each in result.found:
        found.setdefault(each.part if each.part < len(parts) else 0, []).append(each.issue)
    for number, part in enumerate(parts):
        name = _attributes(classname=result.file, name=str(part), file=result.file)
        yield f"    <testcase{name}>"
        if result.trouble is not None:
            yield f"      <error{_attributes(type='unreadable', message=result.trouble)}/>"
        yield from _case(found.get(number, ()))
        yield "    </testcase>"
    yield "  </testsuite>"


def _case(found: Sequence[Issue]) -> Iterator[str]:
    errors = [issue for issue in found if issue.is_error]
    rest = [issue for issue in found if not issue.is_error]
    if errors:
        first = errors[0]
        more = "" if len(errors) == 1 else f" (and {counted(len(errors) - 1, 'error')} more)"
        head = _attributes(type=rule_of(first), message=first.message + more)
        yield f"      <failure{head}>{_lines(errors)}</failure>"
    if rest:
        yield f"      <system-out>{_lines(rest)}</system-out>"


def _line(issue: Issue) -> str:
    place = f"{issue.line}:{issue.column or 1}: " if issue.line else ""
    return f"{place}{issue.severity} [{rule_of(issue)}] {issue.expression}: {issue.message}"


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(_legal(value))}" for name, value in values.items())


def _lines(issues: Iterable[Issue]) -> str:
    return escape(_legal("\n".join(map(_line, issues))))


def _legal(text: str) -> str:
    """A text without the characters that XML 1.0 has no form for."""
    return _ILLEGAL.sub("\ufffd", text)
