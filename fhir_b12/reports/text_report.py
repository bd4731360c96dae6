"""Text report for the terminal: message, position, source line, link to the specification."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fhir_b12.issues import Issue, Severity
from fhir_b12.reports.file_results import (
    Excerpt,
    FileFinding,
    FileResult,
    FindingGroup,
    ReportOptions,
    count_by_severity,
    format_counts,
    group_findings,
    iter_findings,
    pluralize,
    rule_id,
    total_counts,
    unchecked_reasons,
)

_COLOURS: dict[Severity, str] = {
    "fatal": "1;31",
    "error": "1;31",
    "warning": "1;33",
    "information": "1;36",
}
_DIM, _BOLD, _GREEN = "2", "1", "1;32"
_MAX_LINES = 6  #: line numbers listed for a group of findings
_MAX_UNCHECKED = 4  #: reasons listed why something was not checked
FIXABLE = "[*]"  #: marks what `--fix` can fix, as ruff marks it


class Colorizer:
    """Function that colours text if the options ask for colours."""

    def __init__(self, options: ReportOptions) -> None:
        self._on = options.colour

    def __call__(self, text: str, colour: str) -> str:
        """Return the text in a colour, given as SGR parameters."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._on and text else text


def as_text(results: Sequence[FileResult], options: ReportOptions) -> str:
    """Return the findings of each file, then the totals."""
    lines = [line for result in results for line in format_file(result, options)]
    return "".join(f"{line}\n" for line in (*lines, *format_summary(results, options)))


def as_concise(results: Sequence[FileResult], options: ReportOptions) -> str:
    """Return `file:line:column: severity rule message` for each finding, then the totals."""
    paint = Colorizer(options)
    lines = []
    for result, finding in iter_findings(results):
        issue = finding.issue
        lines.append(
            f"{_position(result, issue)}: {_severity(issue, paint)} {paint(rule_id(issue), _BOLD)} "
            f"{_fixable_mark(issue, paint)}{issue.message}"
        )
    lines += [f"{result.file}: {result.read_error}" for result in results if result.read_error]
    return "".join(f"{line}\n" for line in (*lines, *format_summary(results, options)))


def format_file(result: FileResult, options: ReportOptions) -> Iterator[str]:
    """Yield the lines about one file; none if it has no findings."""
    paint = Colorizer(options)
    if result.read_error is not None:
        yield f"{paint('unreadable', _COLOURS['fatal'])} {result.file}: {result.read_error}"
        yield ""
    for group in group_findings(result.findings, separate=options.verbose):
        yield from _format_group(result, group, paint)
        yield ""
    if result.findings:
        counts = format_counts(count_by_severity(result.issues))
        known = f", {result.known:,} more in the baseline" if result.known else ""
        yield f"{paint(result.file, _BOLD)}: {counts}{known}"
        yield ""


def _format_group(result: FileResult, group: FindingGroup, paint: Colorizer) -> Iterator[str]:
    issue = group.first.issue
    head = f"{_severity(issue, paint)}[{rule_id(issue)}]"
    yield f"{head}: {_fixable_mark(issue, paint)}{issue.message}"
    excerpt = group.first.excerpt
    margin = " " * (len(str(excerpt.line)) if excerpt else 1)
    yield f"{margin}{paint('-->', _DIM)} {_position(result, issue)}"
    if excerpt is not None:
        yield from _format_excerpt(excerpt, issue, margin, paint)
    equals = paint("=", _DIM)
    if issue.expression:
        yield f"{margin} {equals} at {issue.expression}"
    if group.others:
        yield f"{margin} {equals} {_format_others(group.others)}"
    if issue.source:
        yield f"{margin} {equals} {paint(f'see {issue.source}', _DIM)}"


def _format_excerpt(excerpt: Excerpt, issue: Issue, margin: str, paint: Colorizer) -> Iterator[str]:
    bar = paint("|", _DIM)
    carets = "^" * max(excerpt.width, 1)
    yield f"{margin} {bar}"
    yield f"{paint(str(excerpt.line), _DIM)} {bar} {excerpt.text}"
    yield f"{margin} {bar} {' ' * excerpt.start}{paint(carets, _COLOURS[issue.severity])}"


def _format_others(findings: Sequence[FileFinding]) -> str:
    """Return e.g. `and 12 more like it: lines 40, 77, 99, ...`."""
    lines = [finding.issue.line for finding in findings if finding.issue.line is not None]
    numbers = [str(line) for line in dict.fromkeys(lines)]
    text = f"and {len(findings):,} more like it"
    if not numbers:
        return text
    listed = ", ".join(numbers[:_MAX_LINES]) + (", ..." if len(numbers) > _MAX_LINES else "")
    return f"{text}: line{'s' if len(numbers) > 1 else ''} {listed}"


def _position(result: FileResult, issue: Issue) -> str:
    file = result.file
    return f"{file}:{issue.line}:{issue.column or 1}" if issue.line else file


def _severity(issue: Issue, paint: Colorizer) -> str:
    return paint(issue.severity, _COLOURS[issue.severity])


def _fixable_mark(issue: Issue, paint: Colorizer) -> str:
    return f"{paint(FIXABLE, _GREEN)} " if issue.fix else ""


def format_summary(results: Sequence[FileResult], options: ReportOptions) -> Iterator[str]:
    """Yield the last lines: what was not checked, the totals, what can be fixed."""
    paint = Colorizer(options)
    reasons = unchecked_reasons(results)
    listed = reasons if options.verbose else reasons[:_MAX_UNCHECKED]
    for issue, times in listed:
        more = f" ({times:,} times)" if times > 1 else ""
        yield f"{paint('not checked', _COLOURS['information'])}: {issue.message}{more}"
    if len(reasons) > len(listed):
        rest = pluralize(len(reasons) - len(listed), "more reason")
        yield f"not checked: {rest}; --verbose lists them"
    counts = format_counts(total_counts(results))
    resources = pluralize(sum(result.resources for result in results), "resource")
    unreadable = sum(result.read_error is not None for result in results)
    scope = f"{resources} of {pluralize(len(results) - unreadable, 'file')}"
    colour = _GREEN if all(result.valid for result in results) else _COLOURS["error"]
    yield f"{paint(counts[0].upper() + counts[1:], colour)} in {scope}."
    if known := sum(result.known for result in results):
        yield f"{pluralize(known, 'more finding')} in the baseline."
    if unreadable:
        yield f"{pluralize(unreadable, 'file')} could not be read."
    fixable = sum(bool(finding.issue.fix) for _, finding in iter_findings(results))
    if fixable:
        findings = pluralize(fixable, "finding")
        yield f"{FIXABLE} {findings} can be fixed with --fix; --fix --dry-run shows the changes."


def format_statistics(results: Sequence[FileResult]) -> Iterator[str]:
    """Yield the number of findings of each rule, most frequent first, then the speed."""
    numbers: Counter[tuple[str, str]] = Counter()
    fixable: Counter[tuple[str, str]] = Counter()
    for _, finding in iter_findings(results):
        key = (rule_id(finding.issue), finding.issue.severity)
        numbers[key] += 1
        fixable[key] += bool(finding.issue.fix)
    for (rule, severity), number in numbers.most_common():
        mark = FIXABLE if fixable[rule, severity] else "   "
        yield f"{number:>7,}  {severity:<11} {mark} {rule}"
    yield format_speed(results)


def format_speed(results: Iterable[FileResult]) -> str:
    """Return e.g. `24 resources, 18,240 bytes in 31 ms: 770 resources/s, 0.6 MB/s`.

    The time is that of all processes together.
    """
    files = list(results)
    seconds = sum(result.seconds for result in files)
    resources, size = sum(result.resources for result in files), sum(r.size for r in files)
    text = (
        f"{pluralize(resources, 'resource')}, {pluralize(size, 'byte')} in {seconds * 1000:,.0f} ms"
    )
    if seconds <= 0:
        return text
    return f"{text}: {resources / seconds:,.0f} resources/s, {size / seconds / 1e6:,.1f} MB/s"
