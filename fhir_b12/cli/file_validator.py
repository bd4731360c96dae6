"""Validate files: read them, select the findings to report, and locate them in the source."""

import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from fhir_b12 import validation
from fhir_b12.cli import input_files
from fhir_b12.cli.source_positions import SourceText
from fhir_b12.cli.streams import STDIN, is_ndjson_name, read_file
from fhir_b12.data import TableError
from fhir_b12.definitions import R4
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.issues import SEVERITIES, Issue, Severity
from fhir_b12.jsonio import MAX_BYTES, JsonError, LineSource, loads, open_stream
from fhir_b12.printable import printable
from fhir_b12.reports import source_excerpts
from fhir_b12.reports.file_results import FileFinding, FileResult, ResourcePart, rule_id

DEFECT = "defect"  #: rule of the finding that the validator itself failed
_MAX_EQUAL_EXCERPTS = 3  #: excerpts of findings of one text with the same rule and message
_MAX_EXCERPTS = 500  #: excerpts of all findings of one text
_MAX_SOURCE_LINES, _MAX_SOURCE_BYTES = 4000, 600_000  #: the source of a longer text is not shown
_MAX_LINE_LENGTH = 2000  #: the source of a text with a longer line is not shown


class ValidateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of `validate`, which are sent to each process."""

    profiles: tuple[str, ...] = ()  #: urls of profiles to validate against
    packages: tuple[str, ...] = ()  #: FHIR packages to load
    plausibility: bool = True  #: check clinical plausibility
    terminology: bool = True  #: check codes, displays and units
    severity: Severity = "information"  #: least severe findings to report
    select: tuple[str, ...] = ()  #: rules to report; () for all
    ignore: tuple[str, ...] = ()  #: rules not to report
    show_values: bool = False  #: show the values of the data, not only keys
    every_excerpt: bool = False  #: take the source line of every finding
    keep_source: bool = False  #: keep the whole source for the report
    keep_parts: bool = False  #: list the resources of each file for the report
    max_bytes: int | None = None  #: maximum size of a text, or of a line of NDJSON


class Report(Protocol):
    """Issues of one text; see `fhir_b12.validation.Report`."""

    @property
    def unchecked(self) -> Sequence[Issue]:
        """What could not be checked."""
        ...

    @property
    def resources(self) -> int:
        """Number of resources validated."""
        ...

    def __iter__(self) -> Iterator[Issue]: ...


class ResourceValidator(Protocol):
    """Validator of one text; see `fhir_b12.validation.Validator`."""

    @property
    def canonicals(self) -> Canonicals:
        """Definitions of the loaded packages."""
        ...

    def validate(self, data: Any, /) -> Report:
        """Return the issues of a JSON text or value."""
        ...


class _FailureReport:
    """Report of a validation that raised an exception; contains no value of the data."""

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
        message = f"the validator failed here ({where}): this is a defect of fhir-b12, report it"
        yield Issue("fatal", "exception", "$this", message, rule=DEFECT)


class _ExcerptBudget:
    """Number of excerpts that may be taken: locating a finding costs more than the validation."""

    def __init__(self) -> None:
        self._left = _MAX_EXCERPTS
        self._taken: dict[tuple[str, str], int] = {}

    def take(self, issue: Issue) -> bool:
        """Return whether an excerpt of an issue may be taken, and count it."""
        key = (rule_id(issue), issue.message)
        number = self._taken[key] = self._taken.get(key, 0) + 1
        if number > _MAX_EQUAL_EXCERPTS or self._left == 0:
            return False
        self._left -= 1
        return True


def build_validator(settings: ValidateSettings) -> ResourceValidator:
    """Return the validator with its packages loaded.

    Raises:
        ValueError: a package cannot be opened, or a profile is unknown.

    """
    validator: Any = validation.Validator(
        profiles=settings.profiles,
        packages=settings.packages,
        plausibility=settings.plausibility,
        terminology=settings.terminology,
        show_values=settings.show_values,
    )
    built: ResourceValidator = validator
    return built


class FileValidator:
    """Validator of files with the settings of the command."""

    def __init__(
        self, settings: ValidateSettings, validator: ResourceValidator | None = None
    ) -> None:
        self.settings = settings
        self.validator = validator or build_validator(settings)
        self._lowest = SEVERITIES.index(settings.severity)

    def is_reported(self, issue: Issue) -> bool:
        """Return whether the settings select an issue; a defect is always reported."""
        rule, settings = rule_id(issue), self.settings
        if SEVERITIES.index(issue.severity) > self._lowest:
            return False
        if rule == DEFECT:
            return True
        return rule not in settings.ignore and (not settings.select or rule in settings.select)

    def validate_file(self, name: str) -> FileResult:
        """Return the result of one file or of standard input (`-`).

        A file that cannot be read has `read_error` set; no exception is raised.
        """
        try:
            if is_ndjson_name(name):
                with open_stream(name) as stream:
                    return self._validate_ndjson(name, stream)
            if name == STDIN:
                with open_stream(name) as stream:
                    reader = input_files.StdinReader(stream, self.max_bytes)
                    if reader.is_ndjson:
                        return self._validate_ndjson(name, reader)
                    raw = reader.read(self.max_bytes + 1)
            else:
                raw = read_file(name, self.max_bytes)
        except JsonError as error:
            return self._unreadable(name, error)
        except OSError as error:
            return FileResult(file=name, read_error=error.strerror or type(error).__name__)
        return self.validate_text(name, raw)

    def _validate_ndjson(self, name: str, source: LineSource) -> FileResult:
        chunks = input_files.read_chunks(name, source, self.settings.max_bytes)
        return merge_chunks(name, map(self.validate_chunk, chunks))

    @property
    def max_bytes(self) -> int:
        """Maximum size of a text."""
        return MAX_BYTES if self.settings.max_bytes is None else self.settings.max_bytes

    def validate_text(self, name: str, raw: bytes) -> FileResult:
        """Return the result of one JSON text: a resource or a Bundle."""
        start = time.perf_counter()
        if len(raw) > self.max_bytes:
            message = f"the text is longer than {self.max_bytes} bytes: split it, or raise "
            issue = Issue("fatal", "too-long", "$this", f"{message}--max-bytes")
            return self._unreadable(name, JsonError([issue]))
        report = self._validate(raw)
        findings = self._locate(report, raw, _ExcerptBudget())
        return FileResult(
            file=name,
            findings=findings,
            unchecked=tuple(report.unchecked),
            resources=report.resources,
            parts=_list_parts(raw) if self.settings.keep_parts else (),
            source=self._source_lines(raw) if self.settings.keep_source and findings else (),
            size=len(raw),
            seconds=time.perf_counter() - start,
        )

    def validate_chunk(self, chunk: input_files.Chunk) -> FileResult:
        """Return the result of some lines of NDJSON, each a resource of its own."""
        start = time.perf_counter()
        findings: list[FileFinding] = []
        parts: list[ResourcePart] = []
        unchecked: list[Issue] = []
        budget = _ExcerptBudget()
        resources = size = 0
        for number, line in enumerate(chunk.lines, chunk.first):
            if isinstance(line, JsonError):
                issues = [msgspec.structs.replace(issue, line=number) for issue in line.issues]
                located = [FileFinding(issue=i) for i in issues if self.is_reported(i)]
                resource_type = ""
            elif not line.strip(b" \t\r\n"):
                continue
            else:
                report = self._validate(line)
                located = list(self._locate(report, line, budget, number))
                unchecked += report.unchecked
                resources += report.resources
                size += len(line) + 1
                resource_type = _type_of_text(line) if self.settings.keep_parts else ""
            findings += (msgspec.structs.replace(finding, part=len(parts)) for finding in located)
            parts.append(ResourcePart(location=f"line {number}", type=resource_type))
        return FileResult(
            file=chunk.file,
            findings=tuple(findings),
            unchecked=tuple(unchecked),
            resources=resources,
            is_ndjson=True,
            parts=tuple(parts),
            size=size,
            seconds=time.perf_counter() - start,
        )

    def _validate(self, raw: bytes) -> Report:
        """Return the report of a text; if the validator fails, one that says so.

        Raises:
            TableError: a file of the library is broken.

        """
        try:
            # the validator reads texts up to its own limit; beyond it the user has raised ours
            text = raw if len(raw) <= MAX_BYTES else loads(raw, max_bytes=len(raw))
            return self.validator.validate(text)
        except JsonError as error:
            return _FailureReport(error, error.issues)
        except TableError:
            raise  # a file of the library is broken, not the data
        except Exception as error:  # noqa: BLE001 - other files and lines are still validated
            return _FailureReport(error)

    def _unreadable(self, name: str, error: JsonError) -> FileResult:
        issues = [
            msgspec.structs.replace(issue, line=issue.line or 1, column=issue.column or 1)
            for issue in error.issues
            if self.is_reported(issue)
        ]
        return FileResult(file=name, findings=tuple(FileFinding(issue=issue) for issue in issues))

    def _locate(
        self, report: Report, raw: bytes, budget: _ExcerptBudget, number: int | None = None
    ) -> tuple[FileFinding, ...]:
        """Return the issues to report with line, column and excerpt.

        `number` is the line number of a line of NDJSON.
        """
        issues = [issue for issue in report if self.is_reported(issue)]
        if not issues:
            return ()
        text = SourceText(raw)
        findings = []
        for issue in issues:
            line, column = issue.line, issue.column or 1
            if line is None or line > len(text):
                line, column = text.position(issue.pointer or "")
            excerpt = None
            if self.settings.every_excerpt or budget.take(issue):
                excerpt = source_excerpts.excerpt(
                    text.line(line), number or line, column, show_values=self.settings.show_values
                )
            located = msgspec.structs.replace(issue, line=number or line, column=column)
            findings.append(FileFinding(issue=located, excerpt=excerpt, part=_part_index(issue)))
        return tuple(findings)

    def _source_lines(self, raw: bytes) -> tuple[str, ...]:
        """Return the source as the HTML report shows it; () for a long text."""
        if len(raw) > _MAX_SOURCE_BYTES:
            return ()
        lines = source_excerpts.split_lines(raw.decode("utf-8", "surrogateescape"))
        if len(lines) > _MAX_SOURCE_LINES or any(len(line) > _MAX_LINE_LENGTH for line in lines):
            return ()
        masked = lines if self.settings.show_values else map(source_excerpts.mask_line, lines)
        return tuple(printable(line.expandtabs(4)) for line in masked)


def merge_chunks(name: str, results: Iterable[FileResult]) -> FileResult:
    """Return the results of the chunks of one NDJSON file as one result."""
    merged = FileResult(file=name, is_ndjson=True)
    findings: list[FileFinding] = []
    parts: list[ResourcePart] = []
    unchecked: dict[str, Issue] = {}
    for result in results:
        findings += (
            msgspec.structs.replace(finding, part=finding.part + len(parts))
            for finding in result.findings
        )
        parts += result.parts
        unchecked |= {issue.message: issue for issue in result.unchecked}
        merged = msgspec.structs.replace(
            merged,
            resources=merged.resources + result.resources,
            size=merged.size + result.size,
            seconds=merged.seconds + result.seconds,
        )
    return msgspec.structs.replace(
        merged,
        findings=tuple(findings),
        parts=tuple(parts),
        unchecked=tuple(unchecked.values()),
    )


def _part_index(issue: Issue) -> int:
    """Return the part of a Bundle with an issue: 0 for the Bundle itself, 1 for entry[0]."""
    parts = (issue.pointer or "").split("/", 4)
    if parts[:2] == ["", "entry"] and len(parts) > 3 and parts[2].isdecimal():
        return int(parts[2]) + 1 if parts[3] == "resource" else 0
    return 0


def _list_parts(raw: bytes) -> tuple[ResourcePart, ...]:
    """Return the resource, then the resources of its entries."""
    try:
        value = loads(raw)
    except JsonError:
        return (ResourcePart(),)
    entries = value.get("entry") if isinstance(value, dict) else None
    if _type_of(value) != "Bundle" or not isinstance(entries, list):
        entries = []
    inner = (
        ResourcePart(
            location=f"entry[{i}]",
            type=_type_of(entry.get("resource")) if isinstance(entry, dict) else "",
        )
        for i, entry in enumerate(entries)
    )
    return (ResourcePart(type=_type_of(value)), *inner)


def _type_of_text(raw: bytes) -> str:
    try:
        return _type_of(loads(raw))
    except JsonError:
        return ""


def _type_of(resource: Any) -> str:
    """Return the type of a resource, "" if it is not a type of R4."""
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) and R4.is_resource(name) else ""
