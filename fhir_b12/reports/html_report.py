"""The report as one page that needs no network and can be read without JavaScript."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from html import escape
from string import Template

from fhir_b12 import data
from fhir_b12.issues import SEVERITIES
from fhir_b12.reports.file_results import (
    Checked,
    Excerpt,
    Fold,
    Found,
    Options,
    counted,
    counts,
    every,
    folded,
    rule_of,
    tally,
    totals,
    unchecked,
)
from fhir_b12.reports.rule_descriptions import Explained, told

MOST_FINDINGS = 2000  #: shown; more of them make a page slow, and nobody reads them
MOST_PLACES = 50  #: of one finding that stands at many
MOST_LINES = 20_000  #: of source, all files together
_OPEN = 12  #: a page with no more findings shows them unfolded


def as_html(results: Sequence[Checked], options: Options) -> str:
    """One page: counts, filters, each finding with its line, the sources, the rules explained."""
    rules = told(found.issue for _, found in every(results))
    names = {rule.id: f"rule-{number}" for number, rule in enumerate(rules)}
    folds = [folded(result.found) for result in results]
    page = _Page(options, names, unfolded=sum(map(len, folds)) <= _OPEN)
    files = "".join(
        line
        for number, (result, each) in enumerate(zip(results, folds, strict=True))
        for line in page.file(number, result, each)
    )
    style, script = _part("page.css"), _part("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    said = tally(totals(results))
    return _template().substitute(
        title=escape(f"{said} - fhir-b12"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        style=style,
        script=script,
        verdict=_verdict(results, said),
        filters=_filters(results, rules),
        index=_index(results),
        files=files,
        capped=page.left_out(sum(map(len, folds))),
        unchecked=_unchecked(results),
        rules="".join(_rule(names[rule.id], rule) for rule in rules),
        version=escape(options.version),
    )


@cache
def _part(name: str) -> str:
    return data.read(data.reports(), name).decode("utf-8")


@cache
def _template() -> Template:
    return Template(_part("page.html"))


class _Page:
    """The findings as they are written one after the other, up to the limits."""

    def __init__(self, options: Options, names: dict[str, str], *, unfolded: bool) -> None:
        self._options = options
        self._names = names
        self._open = " open" if unfolded else ""
        self._findings_left = MOST_FINDINGS
        self._lines_left = MOST_LINES

    def file(self, number: int, result: Checked, folds: Sequence[Fold]) -> Iterator[str]:
        """The section of one file; none where nothing is to be said of it."""
        if result.trouble is None and not folds:
            return
        shown = folds[: self._findings_left]
        lines = len(result.source) if shown and len(result.source) <= self._lines_left else 0
        self._findings_left -= len(shown)
        said = result.trouble or tally(counts(result.issues))
        yield f'<section class="file" id="f{number}"><h2><bdi>{escape(result.file)}</bdi>'
        yield f" <small>{escape(said)}</small></h2>"
        for index, fold in enumerate(shown):
            yield from self._finding(f"f{number}", index, fold, lines)
        if len(shown) < len(folds):
            yield f"<p>{counted(len(folds) - len(shown), 'finding')} left out of this page.</p>"
        if lines:
            self._lines_left -= lines
            yield from self._source(f"f{number}", result, shown)
        yield "</section>\n"

    def left_out(self, folds: int) -> str:
        """A note where not every finding has its place on the page."""
        if folds <= MOST_FINDINGS:
            return ""
        more = counted(folds - MOST_FINDINGS, "more finding")
        return (
            f'<p class="note">{more} left out to keep this page quick: '
            "<code>--format ndjson</code> lists all, <code>--severity error</code> the gravest.</p>"
        )

    def _finding(self, file: str, index: int, fold: Fold, lines: int) -> Iterator[str]:
        issue, rule = fold.first.issue, rule_of(fold.first.issue)
        marks = "".join(
            f' data-{name}="{escape(value)}"'
            for name, value in (
                ("severity", issue.severity),
                ("stage", issue.stage or "json"),
                ("rule", rule),
                ("file", file),
            )
        )
        yield f'<article class="{issue.severity}" id="{file}-{index}"{marks}'
        yield f' data-count="{fold.count}">'
        yield f'<details{self._open}><summary><span class="badge">{issue.severity}</span>'
        yield f'<span class="message">{escape(issue.message)}</span><span class="facts">'
        yield f"<code>{escape(rule)}</code>"
        if issue.line:
            yield f'<span class="place">{issue.line}:{issue.column or 1}</span>'
        if fold.others:
            yield f'<span class="times">{fold.count:,} times</span>'
        if issue.fix:
            yield '<span class="fixable">fixable</span>'
        yield "</span></summary>"
        if fold.first.excerpt is not None:
            yield _excerpt(fold.first.excerpt)
        yield f"<p>At <code>{_broken(issue.expression or '$this')}</code></p>"
        yield from _others(file, fold.others, lines)
        yield f'<p><a href="#{self._names[rule]}">About {escape(rule)}</a>'
        if issue.line and issue.line <= lines:
            yield f' <a href="#{file}-L{issue.line}">In the source: line {issue.line}</a>'
        yield _link(issue.source, " ")
        yield "</p></details></article>\n"

    def _source(self, file: str, result: Checked, folds: Sequence[Fold]) -> Iterator[str]:
        """The whole text, lines with findings marked and linked to them."""
        marks: dict[int, tuple[int, str]] = {}
        for index, fold in enumerate(folds):
            for found in (fold.first, *fold.others):
                if found.issue.line:
                    grave = SEVERITIES.index(found.issue.severity)
                    mark = (grave, f"{file}-{index}")
                    marks[found.issue.line] = min(mark, marks.get(found.issue.line, mark))
        masked = "" if self._options.show_values else ", values masked"
        yield f'<details class="source"><summary>Source{masked}</summary>'
        yield f'<pre tabindex="0" aria-label="Source of {escape(result.file)}">'
        for number, line in enumerate(result.source, 1):
            start, end = "", ""
            if number in marks:
                grave, finding = marks[number]
                start = f'<a class="{SEVERITIES[grave]}" href="#{finding}">'
                end = "</a>"
            yield f'<span id="{file}-L{number}">{start}<i>{number}</i>{escape(line)}{end}</span>\n'
        yield "</pre></details>"


def _excerpt(excerpt: Excerpt) -> str:
    start, end = excerpt.start, excerpt.start + excerpt.width
    before, meant, after = (
        excerpt.text[:start].lstrip(),
        excerpt.text[start:end],
        excerpt.text[end:],
    )
    return (
        f'<pre class="excerpt"><i>{excerpt.line}</i>{escape(before)}'
        f"<mark>{escape(meant) or ' '}</mark>{escape(after)}</pre>"
    )


def _others(file: str, found: Sequence[Found], lines: int) -> Iterator[str]:
    if not found:
        return
    yield f"<details><summary>{counted(len(found), 'more place')}</summary><ul>"
    for each in found[:MOST_PLACES]:
        issue = each.issue
        where = f"<code>{_broken(issue.expression or '$this')}</code>"
        if issue.line:
            line = f"{issue.line}:{issue.column or 1}"
            where += (
                f' <a href="#{file}-L{issue.line}">{line}</a>'
                if issue.line <= lines
                else f" {line}"
            )
        yield f"<li>{where}</li>"
    if len(found) > MOST_PLACES:
        yield f"<li>and {len(found) - MOST_PLACES:,} more</li>"
    yield "</ul></details>"


def _broken(path: str) -> str:
    """A path that may be broken at its dots."""
    return escape(path).replace(".", ".<wbr>")


def _link(url: str | None, before: str = "") -> str:
    if not url:
        return ""
    if not url.startswith(("https://", "http://")):
        return f"{before}<small>Source: {escape(url)}</small>"
    return f'{before}<a href="{escape(url)}" rel="noreferrer">Specification</a>'


def _verdict(results: Sequence[Checked], said: str) -> str:
    valid = all(result.valid for result in results)
    read = [result for result in results if result.trouble is None]
    resources = counted(sum(result.resources for result in read), "resource")
    what = f"{said} in {resources} of {counted(len(read), 'file')}"
    unread = len(results) - len(read)
    more = f"; {counted(unread, 'file')} could not be read" if unread else ""
    known = sum(result.known for result in results)
    more += f"; {known:,} more known to the baseline" if known else ""
    word = "Valid" if valid else "Not valid"
    kind = "good" if valid else "bad"
    return f'<p class="verdict {kind}"><strong>{word}</strong> {escape(what + more)}.</p>'


def _filters(results: Sequence[Checked], rules: Sequence[Explained]) -> str:
    numbers = totals(results)
    boxes = "".join(
        f'<label class="{name}"><input type="checkbox" name="severity" value="{name}" checked>'
        f"<span>{name}</span> <b>{number:,}</b></label>"
        for name, number in numbers.items()
        if number
    )
    stages = dict.fromkeys(found.issue.stage or "json" for _, found in every(results))
    met = [(str(number), result.file) for number, result in enumerate(results) if result.found]
    return boxes + "".join(
        (
            _choice("stage", [(stage, stage) for stage in stages]),
            _choice("rule", [(rule.id, rule.id) for rule in rules]),
            _choice("file", [(f"f{number}", file) for number, file in met]),
        )
    )


def _choice(name: str, values: Sequence[tuple[str, str]]) -> str:
    options = "".join(f'<option value="{escape(v)}">{escape(text)}</option>' for v, text in values)
    hidden = " hidden" if len(values) < 2 else ""
    return (
        f'<label{hidden}>{name} <select name="{name}"><option value="">all</option>'
        f"{options}</select></label>"
    )


def _index(results: Sequence[Checked]) -> str:
    """The files and what was found in each, where there is more than one."""
    if len(results) < 2:
        return ""
    met = [(i, result) for i, result in enumerate(results) if result.found or result.trouble]
    rows = "".join(
        f'<tr><td><a href="#f{number}"><bdi>{escape(result.file)}</bdi></a></td>'
        f"<td>{escape('unreadable' if result.trouble else tally(counts(result.issues)))}</td></tr>"
        for number, result in met[:MOST_FINDINGS]
    )
    clean = len(results) - len(met)
    note = f"<p>Nothing was found in {counted(clean, 'other file')}.</p>" if clean and met else ""
    opened = " open" if len(met) <= _OPEN else ""
    if not met:
        return ""
    return (
        f"<details class='index'{opened}><summary>{counted(len(met), 'file')} with findings"
        f"</summary><table>{rows}</table>{note}</details>"
    )


def _unchecked(results: Iterable[Checked]) -> str:
    rows = "".join(
        f"<li>{escape(issue.message)}{f' ({times:,} times)' if times > 1 else ''}</li>"
        for issue, times in unchecked(results)
    )
    if not rows:
        return ""
    return f'<section id="unchecked"><h2>What could not be checked</h2><ul>{rows}</ul></section>'


def _rule(name: str, rule: Explained) -> str:
    fhirpath = f"<pre>{escape(rule.expression)}</pre>" if rule.expression else ""
    stage = f" <small>{escape(rule.stage)}</small>" if rule.stage else ""
    return (
        f'<div class="rule" id="{name}"><h3><code>{escape(rule.id)}</code>{stage}</h3>'
        f"<p>{escape(rule.says)}</p><p>{escape(rule.why)}{_link(rule.source, ' ')}</p>"
        f"{fhirpath}</div>\n"
    )
