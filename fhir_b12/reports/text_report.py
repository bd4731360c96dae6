"""The report for people at a terminal: what, where, the line itself, the remedy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from fhir_b12.issues import Issue, Severity
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

_COLOURS: dict[Severity, str] = {
    "fatal": "1;31",
    "error": "1;31",
    "warning": "1;33",
    "information": "1;36",
}
_DIM, _BOLD, _GREEN = "2", "1", "1;32"
_PLACES = 6  #: of folded findings, how many lines are named
_UNCHECKED = 4  #: reasons why something was not checked that are told
FIXABLE = "[*]"  #: marks what `--fix` mends, as ruff marks it


class Painter:
    """Colours where they are wanted."""

    def __init__(self, options: Options) -> None:
        self._on = options.colour

    def __call__(self, text: str, colour: str) -> str:
        """The text in a colour (SGR parameters)."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._on and text else text


def as_text(results: Sequence[Checked], options: Options) -> str:
    """Each file with its findings, then the sums."""
    parts = [part for result in results for part in file_text(result, options)]
    return "".join(f"{line}\n" for line in (*parts, *summary(results, options)))


def as_concise(results: Sequence[Checked], options: Options) -> str:
    """A line a finding, `file:line:column: severity rule message`, then the sums."""
    paint = Painter(options)
    lines = [
        f"{_place(result, found.issue)}: {_severity(found.issue, paint)} {paint(rule, _BOLD)} "
        f"{_mark(found.issue, paint)}{found.issue.message}"
        for result, found in every(results)
        for rule in [rule_of(found.issue)]
    ]
    troubles = [f"{each.file}: {each.trouble}" for each in results if each.trouble]
    return "".join(f"{line}\n" for line in (*lines, *troubles, *summary(results, options)))


def file_text(result: Checked, options: Options) -> Iterator[str]:
    """The lines of one file; none where there is nothing to say of it."""
    paint = Painter(options)
    if result.trouble is not None:
        yield f"{paint('unreadable', _COLOURS['fatal'])} {result.file}: {result.trouble}"
        yield ""
    for fold in folded(result.found, apart=options.verbose):
        yield from _finding(result, fold, paint)
        yield ""
    if result.found:
        said = tally(counts(result.issues))
        known = f", {result.known:,} known to the baseline" if result.known else ""
        yield f"{paint(result.file, _BOLD)}: {said}{known}"
        yield ""


def _finding(result: Checked, fold: Fold, paint: Painter) -> Iterator[str]:
    issue = fold.first.issue
    head = f"{_severity(issue, paint)}[{rule_of(issue)}]"
    yield f"{head}: {_mark(issue, paint)}{issue.message}"
    excerpt = fold.first.excerpt
    margin = " " * (len(str(excerpt.line)) if excerpt else 1)
    yield f"{margin}{paint('-->', _DIM)} {_place(result, issue)}"
    if excerpt is not None:
        yield from _source(excerpt, issue, margin, paint)
    equals = paint("=", _DIM)
    if issue.expression:
        yield f"{margin} {equals} at {issue.expression}"
    if fold.others:
        yield f"{margin} {equals} {_others(fold.others)}"
    if issue.source:
        yield f"{margin} {equals} {paint(f'see {issue.source}', _DIM)}"


def _source(excerpt: Excerpt, issue: Issue, margin: str, paint: Painter) -> Iterator[str]:
    bar = paint("|", _DIM)
    carets = "^" * max(excerpt.width, 1)
    yield f"{margin} {bar}"
    yield f"{paint(str(excerpt.line), _DIM)} {bar} {excerpt.text}"
    yield f"{margin} {bar} {' ' * excerpt.start}{paint(carets, _COLOURS[issue.severity])}"


def _others(found: Sequence[Found]) -> str:
    """`and 12 more like it: lines 40, 77, 99, ...`"""
    lines = [each.issue.line for each in found if each.issue.line is not None]
    named = [str(line) for line in dict.fromkeys(lines)]
    text = f"and {len(found):,} more like it"
    if not named:
        return text
    shown = ", ".join(named[:_PLACES]) + (", ..." if len(named) > _PLACES else "")
    return f"{text}: line{'s' if len(named) > 1 else ''} {shown}"


def _place(result: Checked, issue: Issue) -> str:
    file = result.file
    return f"{file}:{issue.line}:{issue.column or 1}" if issue.line else file


def _severity(issue: Issue, paint: Painter) -> str:
    return paint(issue.severity, _COLOURS[issue.severity])


def _mark(issue: Issue, paint: Painter) -> str:
    return f"{paint(FIXABLE, _GREEN)} " if issue.fix else ""


def summary(results: Sequence[Checked], options: Options) -> Iterator[str]:
    """The last lines: how much was read and found, what was not checked, what can be mended."""
    paint = Painter(options)
    left = unchecked(results)
    shown = left if options.verbose else left[:_UNCHECKED]
    for issue, times in shown:
        more = f" ({times:,} times)" if times > 1 else ""
        yield f"{paint('not checked', _COLOURS['information'])}: {issue.message}{more}"
    if len(left) > len(shown):
        yield f"not checked: {len(left) - len(shown):,} other things; --verbose names them"
    said = tally(totals(results))
    resources = counted(sum(result.resources for result in results), "resource")
    unread = sum(result.trouble is not None for result in results)
    read = f"{resources} of {counted(len(results) - unread, 'file')}"
    colour = _GREEN if all(result.valid for result in results) else _COLOURS["error"]
    yield f"{paint(said[0].upper() + said[1:], colour)} in {read}."
    if known := sum(result.known for result in results):
        yield f"{known:,} more {'is' if known == 1 else 'are'} known to the baseline."
    if unread:
        yield f"{counted(unread, 'file')} could not be read."
    fixable = sum(bool(found.issue.fix) for _, found in every(results))
    if fixable:
        yield f"{FIXABLE} {fixable:,} can be mended by --fix; --fix --dry-run shows how."


def statistics(results: Sequence[Checked]) -> Iterator[str]:
    """How often each rule was broken, and how long it took."""
    found: Counter[tuple[str, str]] = Counter()
    mended: Counter[tuple[str, str]] = Counter()
    for _, each in every(results):
        key = (rule_of(each.issue), each.issue.severity)
        found[key] += 1
        mended[key] += bool(each.issue.fix)
    for (rule, severity), number in found.most_common():
        mark = FIXABLE if mended[rule, severity] else "   "
        yield f"{number:>7,}  {severity:<11} {mark} {rule}"
    yield speed(results)


def speed(results: Iterable[Checked]) -> str:
    """`24 resources, 18,240 bytes in 31 ms of work: 770 resources/s, 0.6 MB/s`"""
    held = list(results)
    seconds = sum(result.seconds for result in held)
    resources, size = sum(each.resources for each in held), sum(each.size for each in held)
    text = f"{counted(resources, 'resource')}, {counted(size, 'byte')} in {seconds * 1000:,.0f} ms"
    if seconds <= 0:
        return text
    return (
        f"{text} of work: {resources / seconds:,.0f} resources/s, {size / seconds / 1e6:,.1f} MB/s"
    )
