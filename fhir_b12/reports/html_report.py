"""HTML report: one page that needs no network and can be read without JavaScript."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from string import Template

from fhir_b12 import data
from fhir_b12.issues import SEVERITIES
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
from fhir_b12.reports.rule_descriptions import RuleDescription, describe_rules_of

MAX_FINDINGS = 2000  #: groups of findings on the page; more make it slow
MAX_LOCATIONS = 50  #: locations listed for one group
MAX_LINES = 20_000  #: source lines on the page, of all files together
_MAX_EXPANDED = 12  #: a page with no more groups shows them expanded


def as_html(results: Sequence[FileResult], options: ReportOptions) -> str:
    """Return one page: totals, filters, findings with source lines, sources, rules."""
    rules = describe_rules_of(finding.issue for _, finding in iter_findings(results))
    anchors = {rule.id: f"rule-{number}" for number, rule in enumerate(rules)}
    groups = [group_findings(result.findings) for result in results]
    group_count = sum(map(len, groups))
    page = _PageWriter(options, anchors, expanded=group_count <= _MAX_EXPANDED)
    files = "".join(
        line
        for number, (result, own_groups) in enumerate(zip(results, groups, strict=True))
        for line in page.file_section(number, result, own_groups)
    )
    style, script = _read_asset("page.css"), _read_asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    counts = format_counts(total_counts(results))
    return _template().substitute(
        title=escape(f"{counts} - fhir-b12"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        style=style,
        script=script,
        verdict=_verdict(results, counts),
        filters=_filters(results, rules),
        index=_file_index(results),
        files=files,
        capped=page.omission_note(group_count),
        unchecked=_unchecked_section(results),
        rules="".join(_rule_section(anchors[rule.id], rule) for rule in rules),
        version=escape(options.version),
    )


@cache
def _read_asset(name: str) -> str:
    return data.read(data.reports(), name).decode("utf-8")


@cache
def _template() -> Template:
    return Template(_read_asset("page.html"))


class _PageWriter:
    """Writer of the file sections, one after the other, up to the limits of the page."""

    def __init__(self, options: ReportOptions, anchors: dict[str, str], *, expanded: bool) -> None:
        self._options = options
        self._anchors = anchors
        self._open = " open" if expanded else ""
        self._findings_left = MAX_FINDINGS
        self._lines_left = MAX_LINES

    def file_section(
        self, number: int, result: FileResult, groups: Sequence[FindingGroup]
    ) -> Iterator[str]:
        """Yield the section of one file; nothing if it has no findings."""
        if result.read_error is None and not groups:
            return
        listed = groups[: self._findings_left]
        lines = len(result.source) if listed and len(result.source) <= self._lines_left else 0
        self._findings_left -= len(listed)
        summary = result.read_error or format_counts(count_by_severity(result.issues))
        yield f'<section class="file" id="f{number}"><h2><bdi>{escape(result.file)}</bdi>'
        yield f" <small>{escape(summary)}</small></h2>"
        for index, group in enumerate(listed):
            yield from self._article(f"f{number}", index, group, lines)
        if len(listed) < len(groups):
            omitted = pluralize(len(groups) - len(listed), "finding")
            yield f"<p>{omitted} omitted from this page.</p>"
        if lines:
            self._lines_left -= lines
            yield from self._source(f"f{number}", result, listed)
        yield "</section>\n"

    def omission_note(self, group_count: int) -> str:
        """Return a note if the page does not list all findings."""
        if group_count <= MAX_FINDINGS:
            return ""
        more = pluralize(group_count - MAX_FINDINGS, "more finding")
        return (
            f'<p class="note">{more} omitted to keep this page fast: '
            "<code>--format ndjson</code> lists all findings, "
            "<code>--severity error</code> only errors.</p>"
        )

    def _article(self, file: str, index: int, group: FindingGroup, lines: int) -> Iterator[str]:
        """Yield one group of findings; `lines` is the number of source lines on the page."""
        issue, rule = group.first.issue, rule_id(group.first.issue)
        attributes = "".join(
            f' data-{name}="{escape(value)}"'
            for name, value in (
                ("severity", issue.severity),
                ("stage", issue.stage or "json"),
                ("rule", rule),
                ("file", file),
            )
        )
        yield f'<article class="{issue.severity}" id="{file}-{index}"{attributes}'
        yield f' data-count="{group.count}">'
        yield f'<details{self._open}><summary><span class="badge">{issue.severity}</span>'
        yield f'<span class="message">{escape(issue.message)}</span><span class="facts">'
        yield f"<code>{escape(rule)}</code>"
        if issue.line:
            yield f'<span class="place">{issue.line}:{issue.column or 1}</span>'
        if group.others:
            yield f'<span class="times">{group.count:,} times</span>'
        if issue.fix:
            yield '<span class="fixable">fixable</span>'
        yield "</span></summary>"
        if group.first.excerpt is not None:
            yield _format_excerpt(group.first.excerpt)
        yield f"<p>At <code>{_breakable(issue.expression or '$this')}</code></p>"
        yield from _other_locations(file, group.others, lines)
        yield f'<p><a href="#{self._anchors[rule]}">About {escape(rule)}</a>'
        if issue.line and issue.line <= lines:
            yield f' <a href="#{file}-L{issue.line}">Source line {issue.line}</a>'
        yield _link(issue.source, " ")
        yield "</p></details></article>\n"

    def _source(
        self, file: str, result: FileResult, groups: Sequence[FindingGroup]
    ) -> Iterator[str]:
        """Yield the source, each line with findings linked to the most severe one."""
        marks: dict[int, tuple[int, str]] = {}
        for index, group in enumerate(groups):
            for finding in (group.first, *group.others):
                if finding.issue.line:
                    rank = SEVERITIES.index(finding.issue.severity)
                    mark = (rank, f"{file}-{index}")
                    marks[finding.issue.line] = min(mark, marks.get(finding.issue.line, mark))
        masked = "" if self._options.show_values else ", values masked"
        yield f'<details class="source"><summary>Source{masked}</summary>'
        yield f'<pre tabindex="0" aria-label="Source of {escape(result.file)}">'
        for number, line in enumerate(result.source, 1):
            start, end = "", ""
            if number in marks:
                rank, anchor = marks[number]
                start = f'<a class="{SEVERITIES[rank]}" href="#{anchor}">'
                end = "</a>"
            yield f'<span id="{file}-L{number}">{start}<i>{number}</i>{escape(line)}{end}</span>\n'
        yield "</pre></details>"


def _format_excerpt(excerpt: Excerpt) -> str:
    start, end = excerpt.start, excerpt.start + excerpt.width
    before, marked, after = (
        excerpt.text[:start].lstrip(),
        excerpt.text[start:end],
        excerpt.text[end:],
    )
    return (
        f'<pre class="excerpt"><i>{excerpt.line}</i>{escape(before)}'
        f"<mark>{escape(marked) or ' '}</mark>{escape(after)}</pre>"
    )


def _other_locations(file: str, findings: Sequence[FileFinding], lines: int) -> Iterator[str]:
    """Yield a list of the other locations of a group, linked to the source if it is shown."""
    if not findings:
        return
    yield f"<details><summary>{pluralize(len(findings), 'more location')}</summary><ul>"
    for finding in findings[:MAX_LOCATIONS]:
        issue = finding.issue
        location = f"<code>{_breakable(issue.expression or '$this')}</code>"
        if issue.line:
            position = f"{issue.line}:{issue.column or 1}"
            if issue.line <= lines:
                position = f'<a href="#{file}-L{issue.line}">{position}</a>'
            location += f" {position}"
        yield f"<li>{location}</li>"
    if len(findings) > MAX_LOCATIONS:
        yield f"<li>and {len(findings) - MAX_LOCATIONS:,} more</li>"
    yield "</ul></details>"


def _breakable(path: str) -> str:
    """Return a path that may be wrapped at its dots."""
    return escape(path).replace(".", ".<wbr>")


def _link(url: str | None, before: str = "") -> str:
    """Return a link to the specification; plain text if the source is not a web address."""
    if not url:
        return ""
    if not url.startswith(("https://", "http://")):
        return f"{before}<small>Source: {escape(url)}</small>"
    return f'{before}<a href="{escape(url)}" rel="noreferrer">Specification</a>'


def _verdict(results: Sequence[FileResult], counts: str) -> str:
    valid = all(result.valid for result in results)
    readable = [result for result in results if result.read_error is None]
    resources = pluralize(sum(result.resources for result in readable), "resource")
    summary = f"{counts} in {resources} of {pluralize(len(readable), 'file')}"
    unreadable = len(results) - len(readable)
    summary += f"; {pluralize(unreadable, 'file')} could not be read" if unreadable else ""
    known = sum(result.known for result in results)
    summary += f"; {pluralize(known, 'more finding')} in the baseline" if known else ""
    word = "Valid" if valid else "Not valid"
    css_class = "good" if valid else "bad"
    return f'<p class="verdict {css_class}"><strong>{word}</strong> {escape(summary)}.</p>'


def _filters(results: Sequence[FileResult], rules: Sequence[RuleDescription]) -> str:
    boxes = "".join(
        f'<label class="{severity}"><input type="checkbox" name="severity" value="{severity}"'
        f" checked><span>{severity}</span> <b>{number:,}</b></label>"
        for severity, number in total_counts(results).items()
        if number
    )
    stages = dict.fromkeys(finding.issue.stage or "json" for _, finding in iter_findings(results))
    files = [(str(number), result.file) for number, result in enumerate(results) if result.findings]
    return boxes + "".join(
        (
            _select("stage", [(stage, stage) for stage in stages]),
            _select("rule", [(rule.id, rule.id) for rule in rules]),
            _select("file", [(f"f{number}", file) for number, file in files]),
        )
    )


def _select(name: str, values: Sequence[tuple[str, str]]) -> str:
    """Return a drop-down list, hidden if there is nothing to choose."""
    options = "".join(f'<option value="{escape(v)}">{escape(text)}</option>' for v, text in values)
    hidden = " hidden" if len(values) < 2 else ""
    return (
        f'<label{hidden}>{name} <select name="{name}"><option value="">all</option>'
        f"{options}</select></label>"
    )


def _file_index(results: Sequence[FileResult]) -> str:
    """Return a table of the files with findings; "" for a single file."""
    if len(results) < 2:
        return ""
    numbered = enumerate(results)
    listed = [(i, result) for i, result in numbered if result.findings or not result.valid]
    if not listed:
        return ""
    rows = "".join(
        f'<tr><td><a href="#f{number}"><bdi>{escape(result.file)}</bdi></a></td>'
        f"<td>{escape(_file_summary(result))}</td></tr>"
        for number, result in listed[:MAX_FINDINGS]
    )
    clean = len(results) - len(listed)
    note = f"<p>No findings in {pluralize(clean, 'other file')}.</p>" if clean else ""
    opened = " open" if len(listed) <= _MAX_EXPANDED else ""
    return (
        f"<details class='index'{opened}><summary>{pluralize(len(listed), 'file')} with findings"
        f"</summary><table>{rows}</table>{note}</details>"
    )


def _file_summary(result: FileResult) -> str:
    if result.read_error is not None:
        return "unreadable"
    return format_counts(count_by_severity(result.issues))


def _unchecked_section(results: Iterable[FileResult]) -> str:
    rows = "".join(
        f"<li>{escape(issue.message)}{f' ({times:,} times)' if times > 1 else ''}</li>"
        for issue, times in unchecked_reasons(results)
    )
    if not rows:
        return ""
    return f'<section id="unchecked"><h2>Not checked</h2><ul>{rows}</ul></section>'


def _rule_section(anchor: str, rule: RuleDescription) -> str:
    fhirpath = f"<pre>{escape(rule.expression)}</pre>" if rule.expression else ""
    stage = f" <small>{escape(rule.stage)}</small>" if rule.stage else ""
    return (
        f'<div class="rule" id="{anchor}"><h3><code>{escape(rule.id)}</code>{stage}</h3>'
        f"<p>{escape(rule.message)}</p><p>{escape(rule.rationale)}{_link(rule.source, ' ')}</p>"
        f"{fhirpath}</div>\n"
    )
