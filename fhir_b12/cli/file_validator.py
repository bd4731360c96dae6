"""Validate texts, and make of each what the reports need."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from fhir_b12 import validation
from fhir_b12.cli import input_files
from fhir_b12.cli.source_positions import Text
from fhir_b12.data import TableError
from fhir_b12.definitions import R4
from fhir_b12.issues import SEVERITIES, Issue, Severity
from fhir_b12.jsonio import MAX_BYTES, JsonError, loads, open_stream
from fhir_b12.reports import source_excerpts
from fhir_b12.reports.file_results import Checked, Found, Part, printable, rule_of

DEFECT = "defect"  #: the rule of a finding that the validator failed
_ALIKE, _EXCERPTS = 3, 500  #: excerpts of findings that say the same, and of all, in one text
_SOURCE_LINES, _SOURCE_LENGTH = 4000, 600_000  #: a longer text is not shown whole
_LINE = 2000  #: characters of one line that is shown whole


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; goes to each process."""

    profiles: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    plausibility: bool = True
    terminology: bool = True
    severity: Severity = "information"  #: what is less grave is not reported
    select: tuple[str, ...] = ()  #: rules; where given, only these are reported
    ignore: tuple[str, ...] = ()  #: rules that are not reported
    show_values: bool = False
    every_excerpt: bool = False
    keep_source: bool = False
    keep_parts: bool = False
    max_bytes: int | None = None


class Report(Protocol):
    """What the validator says of one input; see `fhir_b12.validation`."""

    @property
    def unchecked(self) -> Sequence[Issue]:
        """What could not be checked."""
        ...

    @property
    def resources(self) -> int:
        """How many resources it saw."""
        ...

    def __iter__(self) -> Iterator[Issue]: ...


class _Failed:
    """The report of a validator that failed: no value of the data is in it."""

    unchecked = ()
    resources = 0

    def __init__(self, error: Exception, issues: Sequence[Issue] = ()) -> None:
        self._error = error
        self._issues = issues

    def __iter__(self) -> Iterator[Issue]:
        if self._issues:
            yield from self._issues
            return
        last = traceback.extract_tb(self._error.__traceback__)[-1]
        where = f"{type(self._error).__name__} at {PurePath(last.filename).name}:{last.lineno}"
        message = f"the validator failed here ({where}): a defect of fhir-b12, please report it"
        yield Issue("fatal", "exception", "$this", message, rule=DEFECT)


class _Budget:
    """How many excerpts are still taken: reading the source costs more than validating it."""

    def __init__(self) -> None:
        self._left = _EXCERPTS
        self._met: dict[tuple[str, str], int] = {}

    def grants(self, issue: Issue) -> bool:
        """True for the first few findings that say the same."""
        alike = (rule_of(issue), issue.message)
        met = self._met[alike] = self._met.get(alike, 0) + 1
        if met > _ALIKE or self._left == 0:
            return False
        self._left -= 1
        return True


Validate = Callable[[Any], Report]


def validator(settings: Settings) -> Validate:
    """The function that validates one text; packages are opened once, here.

    Raises:
        ValueError: a package cannot be opened; the message says why.

    """
    made: Any = validation.Validator(
        profiles=settings.profiles,
        packages=settings.packages,
        plausibility=settings.plausibility,
        terminology=settings.terminology,
        show_values=settings.show_values,
    )
    held: Validate = made.validate
    return held


class Checker:
    """Validates files by one validator and the user's wishes."""

    def __init__(self, settings: Settings, validate: Validate | None = None) -> None:
        self.settings = settings
        self.validate = validate or validator(settings)
        self._lowest = SEVERITIES.index(settings.severity)

    def wanted(self, issue: Issue) -> bool:
        """True of what is to be reported."""
        rule, settings = rule_of(issue), self.settings
        return (
            SEVERITIES.index(issue.severity) <= self._lowest
            and (rule == DEFECT or rule not in settings.ignore)
            and (rule == DEFECT or not settings.select or rule in settings.select)
        )

    def file(self, name: str) -> Checked:
        """One file, or standard input; what cannot be read is trouble, not an exception."""
        try:
            if input_files.has_lines(name):
                with open_stream(name) as stream:
                    return self._by_line(name, stream)
            if name == input_files.STDIN:
                with open_stream(name) as stream:
                    given = input_files.Standard(stream, self.limit)
                    if given.has_lines:
                        return self._by_line(name, given)
                    raw = given.read(self.limit + 1)
            else:
                raw = input_files.read(name, self.limit)
        except JsonError as error:
            return self._faulty(name, error)
        except OSError as error:
            return Checked(file=name, trouble=error.strerror or type(error).__name__)
        return self.text(name, raw)

    def _by_line(self, name: str, stream: input_files.Lines) -> Checked:
        parts = input_files.chunks(name, stream, self.settings.max_bytes)
        return joined(name, map(self.lines, parts))

    @property
    def limit(self) -> int:
        """The bytes of one text that are read."""
        return MAX_BYTES if self.settings.max_bytes is None else self.settings.max_bytes

    def text(self, name: str, raw: bytes) -> Checked:
        """One JSON text: a resource or a Bundle."""
        start = time.perf_counter()
        if len(raw) > self.limit:
            message = f"the text is longer than {self.limit} bytes; split it or raise --max-bytes"
            return self._faulty(name, JsonError([Issue("fatal", "too-long", "$this", message)]))
        report = self._validated(raw)
        found = self._found(report, raw, _Budget())
        return Checked(
            file=name,
            found=found,
            unchecked=tuple(report.unchecked),
            resources=report.resources,
            parts=_parts(raw) if self.settings.keep_parts else (),
            source=self._whole(raw) if self.settings.keep_source and found else (),
            size=len(raw),
            seconds=time.perf_counter() - start,
        )

    def lines(self, chunk: input_files.Chunk) -> Checked:
        """Some lines of NDJSON, each a resource of its own."""
        start = time.perf_counter()
        found: list[Found] = []
        parts: list[Part] = []
        unchecked: list[Issue] = []
        budget = _Budget()
        resources = size = 0
        for number, line in enumerate(chunk.lines, chunk.first):
            if isinstance(line, JsonError):
                issues = [msgspec.structs.replace(each, line=number) for each in line.issues]
                told = [Found(issue=issue) for issue in issues if self.wanted(issue)]
                kind = ""
            elif not line.strip(b" \t\r\n"):
                continue
            else:
                report = self._validated(line)
                told = list(self._found(report, line, budget, number))
                unchecked += report.unchecked
                resources += report.resources
                size += len(line) + 1
                kind = _type(line) if self.settings.keep_parts else ""
            found += (msgspec.structs.replace(each, part=len(parts)) for each in told)
            parts.append(Part(place=f"line {number}", type=kind))
        return Checked(
            file=chunk.file,
            found=tuple(found),
            unchecked=tuple(unchecked),
            resources=resources,
            by_line=True,
            parts=tuple(parts),
            size=size,
            seconds=time.perf_counter() - start,
        )

    def _validated(self, raw: bytes) -> Report:
        """What the validator says; where it fails, that, so that the rest is still done."""
        try:
            # the validator reads texts up to its own limit; beyond it the user has raised ours
            return self.validate(raw if len(raw) <= MAX_BYTES else loads(raw, max_bytes=len(raw)))
        except JsonError as error:
            return _Failed(error, error.issues)
        except TableError:
            raise  # a file of the library is broken, not the data
        except Exception as error:  # noqa: BLE001 - other files and lines are still to be checked
            return _Failed(error)

    def _faulty(self, name: str, error: JsonError) -> Checked:
        told = [
            msgspec.structs.replace(issue, line=issue.line or 1, column=issue.column or 1)
            for issue in error.issues
            if self.wanted(issue)
        ]
        return Checked(file=name, found=tuple(Found(issue=issue) for issue in told))

    def _found(
        self, report: Report, raw: bytes, budget: "_Budget", number: int | None = None
    ) -> tuple[Found, ...]:
        """The findings that are wanted, with their lines; `number` is that of a line of NDJSON."""
        issues = [issue for issue in report if self.wanted(issue)]
        if not issues:
            return ()
        text = Text(raw)
        told = []
        for issue in issues:
            line, column = issue.line, issue.column or 1
            if line is None or line > len(text):
                line, column = text.place(issue.pointer or "")
            excerpt = None
            if self.settings.every_excerpt or budget.grants(issue):
                shown = self.settings.show_values
                excerpt = source_excerpts.excerpt(
                    text.line(line), number or line, column, show_values=shown
                )
            placed = msgspec.structs.replace(issue, line=number or line, column=column)
            told.append(Found(issue=placed, excerpt=excerpt, part=_part(issue)))
        return tuple(told)

    def _whole(self, raw: bytes) -> tuple[str, ...]:
        """The source as the page shows it; nothing of a long one."""
        if len(raw) > _SOURCE_LENGTH:
            return ()
        lines = source_excerpts.lines(raw.decode("utf-8", "surrogateescape"))
        if len(lines) > _SOURCE_LINES or any(len(line) > _LINE for line in lines):
            return ()
        shown = lines if self.settings.show_values else map(source_excerpts.masked, lines)
        return tuple(printable(line.expandtabs(4)) for line in shown)


def joined(name: str, results: Iterable[Checked]) -> Checked:
    """The chunks of one NDJSON file as one."""
    whole = Checked(file=name, by_line=True)
    found: list[Found] = []
    parts: list[Part] = []
    unchecked: dict[str, Issue] = {}
    for each in results:
        found += (msgspec.structs.replace(one, part=one.part + len(parts)) for one in each.found)
        parts += each.parts
        unchecked |= {issue.message: issue for issue in each.unchecked}
        whole = msgspec.structs.replace(
            whole,
            resources=whole.resources + each.resources,
            size=whole.size + each.size,
            seconds=whole.seconds + each.seconds,
        )
    return msgspec.structs.replace(
        whole, found=tuple(found), parts=tuple(parts), unchecked=tuple(unchecked.values())
    )


def _part(issue: Issue) -> int:
    """Which part of a Bundle an issue is in: 0 is the Bundle itself, 1 its first entry."""
    steps = (issue.pointer or "").split("/", 4)
    if steps[:2] == ["", "entry"] and len(steps) > 3 and steps[2].isdecimal():
        return int(steps[2]) + 1 if steps[3] == "resource" else 0
    return 0


def _parts(raw: bytes) -> tuple[Part, ...]:
    """The resource, then those of its entries."""
    try:
        value = loads(raw)
    except JsonError:
        return (Part(),)
    entries = value.get("entry") if isinstance(value, dict) else None
    held = entries if _named(value) == "Bundle" and isinstance(entries, list) else ()
    inner = (
        Part(
            place=f"entry[{i}]", type=_named(each.get("resource")) if isinstance(each, dict) else ""
        )
        for i, each in enumerate(held)
    )
    return (Part(type=_named(value)), *inner)


def _type(raw: bytes) -> str:
    try:
        return _named(loads(raw))
    except JsonError:
        return ""


def _named(resource: Any) -> str:
    """The type of a resource; "" where it names none that could be one."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) and R4.is_resource(kind) else ""
