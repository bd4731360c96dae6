"""What was found in each file, as every report takes it.

A validator gives issues of one resource. A report is of files: each with its findings, the lines
they stand on, what could not be checked, and what could not be read at all.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from fhir_b12.issues import SEVERITIES, Issue, Severity

INDEX = re.compile(r"\[\d+\]")


class Excerpt(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the source and the part of it that is meant, ready to be shown."""

    line: int  #: from 1
    text: str  #: cut where it is long, its values masked unless they were asked for
    start: int  #: offset in `text` of what is meant
    width: int  #: how many characters of it


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One issue in one file."""

    issue: Issue
    part: int = 0  #: which of the file's parts it belongs to
    excerpt: Excerpt | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a file: the whole, a line of NDJSON, an entry of a Bundle."""

    place: str = ""  #: "", "line 3", "entry[3]"
    type: str = ""  #: "Observation"; "" where it cannot be told

    def __str__(self) -> str:
        """`entry[3] Observation`"""
        return " ".join(filter(None, (self.place, self.type))) or "resource"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one file."""

    file: str  #: as the user knows it; "-" for standard input
    found: tuple[Found, ...] = ()  #: in the order of the document
    unchecked: tuple[Issue, ...] = ()  #: what could not be checked, and why
    resources: int = 0
    by_line: bool = False  #: each line is a resource of its own
    parts: tuple[Part, ...] = ()  #: () where nobody asked for them
    source: tuple[str, ...] = ()  #: its lines, masked; () where it is long or nobody asked
    known: int = 0  #: findings that the baseline knows, left out of `found`
    trouble: str | None = None  #: why it could not be read; then nothing else is here
    size: int = 0  #: bytes read
    seconds: float = 0.0

    @property
    def issues(self) -> tuple[Issue, ...]:
        """The issues alone."""
        return tuple(each.issue for each in self.found)

    @property
    def valid(self) -> bool:
        """True where it was read and no error was found."""
        return self.trouble is None and not any(each.issue.is_error for each in self.found)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a report is to look."""

    show_values: bool = False
    colour: bool = False
    verbose: bool = False  #: every finding by itself, none folded
    version: str = "0"  #: of the tool


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one file that say the same of places that differ in their indices only."""

    first: Found
    others: tuple[Found, ...] = ()

    @property
    def count(self) -> int:
        """How many they are."""
        return 1 + len(self.others)


def folded(found: Iterable[Found], *, apart: bool = False) -> list[Fold]:
    """Findings put together where only the place in lists or the line differs, in order."""
    if apart:
        return [Fold(first=each) for each in found]
    groups: dict[tuple[str, ...], list[Found]] = {}
    for each in found:
        issue = each.issue
        fixable = "fix" if issue.fix else ""
        alike = (issue.severity, rule_of(issue), issue.message, shape(issue.expression), fixable)
        groups.setdefault(alike, []).append(each)
    return [Fold(first=first, others=tuple(rest)) for first, *rest in groups.values()]


def shape(expression: str) -> str:
    """A FHIRPath without indices: findings of equal shape stand at like places."""
    return INDEX.sub("[]", expression)


def rule_of(issue: Issue) -> str:
    """The id of the rule an issue tells of; where it has none, its stage and issue code."""
    return issue.rule or f"{issue.stage or 'json'}-{issue.code}"


def counts(issues: Iterable[Issue]) -> dict[Severity, int]:
    """How many issues of each severity, gravest first, none left out."""
    found = Counter(issue.severity for issue in issues)
    return {severity: found[severity] for severity in SEVERITIES}


def unchecked(results: Iterable[Checked]) -> list[tuple[Issue, int]]:
    """What could not be checked, each reason once, with the number of times it was met."""
    met: dict[tuple[str, str], list[Issue]] = {}
    for result in results:
        for issue in result.unchecked:
            met.setdefault((rule_of(issue), issue.message), []).append(issue)
    return [(issues[0], len(issues)) for issues in met.values()]


def totals(results: Sequence[Checked]) -> dict[Severity, int]:
    """The counts of all files together."""
    return counts(each.issue for result in results for each in result.found)


def counted(number: int, thing: str) -> str:
    """`1 error`, `3 errors`, `2 files`."""
    plural = thing if number == 1 or thing == "information" else f"{thing}s"
    return f"{number:,} {plural}"


def tally(numbers: dict[Severity, int]) -> str:
    """`2 errors, 1 warning`; fatal ones are errors too."""
    errors = numbers["fatal"] + numbers["error"]
    parts = (("error", errors), ("warning", numbers["warning"]))
    said = [counted(number, name) for name, number in parts if number]
    if numbers["information"]:
        said.append(f"{numbers['information']:,} for information")
    return ", ".join(said) or "no findings"


def printable(text: str) -> str:
    """A text without line breaks, control characters and marks that turn its direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cleaned(result: Checked) -> Checked:
    """The same with nothing in its texts that steers a terminal or that a format cannot hold."""
    return msgspec.structs.replace(
        result,
        file=printable(result.file),
        found=tuple(
            msgspec.structs.replace(found, issue=_clean(found.issue)) for found in result.found
        ),
        unchecked=tuple(map(_clean, result.unchecked)),
        trouble=None if result.trouble is None else printable(result.trouble),
    )


_TEXTS = ("code", "expression", "message", "rule", "source", "stage", "pointer")


def _clean(issue: Issue) -> Issue:
    """An issue of printable texts."""
    texts = {name: getattr(issue, name) for name in _TEXTS}
    odd = {name: text for name, text in texts.items() if text and not text.isprintable()}
    changed = {name: printable(text) for name, text in odd.items()}
    return msgspec.structs.replace(issue, **changed) if changed else issue


def facts(found: Found, options: Options) -> dict[str, Any]:
    """One finding as JSON: `report.schema.json` tells each name.  What is absent is left out."""
    issue = found.issue
    told: dict[str, Any] = {
        "severity": issue.severity,
        "code": issue.code,
        "rule": rule_of(issue),
        "stage": issue.stage,
        "message": issue.message,
        "expression": issue.expression,
        "pointer": issue.pointer,
        "line": issue.line,
        "column": issue.column,
        "source": issue.source,
        "fixable": bool(issue.fix),
    }
    if issue.fix and options.show_values:  # what mends it may hold what the patient's data say
        told["fix"] = list(issue.fix)
    return {name: value for name, value in told.items() if value is not None}


def every(results: Iterable[Checked]) -> Iterator[tuple[Checked, Found]]:
    """Each finding with its file."""
    for result in results:
        for found in result.found:
            yield result, found
