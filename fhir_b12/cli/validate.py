"""Command `validate`: report, explain and fix findings in FHIR R4 data."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.cli import baseline, fixes, hl7_options, input_files, minimize, watch, worker_pool
from fhir_b12.cli.file_validator import DEFECT, FileValidator, ValidateSettings
from fhir_b12.cli.streams import (
    STDIN,
    UsageError,
    is_ndjson_name,
    open_output,
    read_json,
    write_bytes,
)
from fhir_b12.cli.version import version
from fhir_b12.data import TableError
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.issues import SEVERITIES, Issue
from fhir_b12.jsonio import JsonError, dumps, open_stream, read_lines
from fhir_b12.printable import printable
from fhir_b12.reports import FileResult, ReportOptions, render
from fhir_b12.reports.file_results import (
    format_counts,
    pluralize,
    rule_id,
    sanitize,
    total_counts,
)
from fhir_b12.reports.rule_descriptions import (
    RuleDescription,
    all_rules,
    describe_constraints,
    describe_rule,
)
from fhir_b12.reports.text_report import format_file, format_statistics, format_summary
from fhir_b12.suggestions import did_you_mean
from fhir_b12.validation.profiles.constraints import constraint_keys

EXTRA_REPORTS = ("html", "sarif", "junit")  #: formats with an option of their own: --html FILE
LIST = "list"  #: value of --explain that lists every rule


def run(arguments: Namespace) -> int:
    """Validate files.

    Args:
        arguments: the parsed arguments of `validate`.

    Returns:
        The exit code: 0 no errors, 1 errors, 2 a file cannot be read, 3 a defect of fhir-b12.

    Raises:
        UsageError: the arguments cannot be used, or a file of the library is broken.

    """
    try:
        return _run(arguments)
    except TableError as error:  # a file of the library is broken: exit code 2, not a finding
        raise UsageError(str(error)) from error


def _run(arguments: Namespace) -> int:
    hl7_options.apply_options(arguments)
    if arguments.explain is not None:
        return _explain(arguments)
    if not arguments.files:
        raise UsageError("FILE is required: give files or folders, or - for standard input")
    for note in hl7_options.ignored_notes(arguments):
        sys.stderr.write(f"{note}\n")
    _check_usage(arguments)
    files = input_files.expand_paths(arguments.files)
    validator = _build_validator(arguments)
    _check_rule_names(arguments, validator.validator.canonicals)
    if arguments.minimal is not None:
        return _minimize(files, validator, arguments)
    if arguments.fix:
        return _fix(files, validator, arguments)
    code = _report(_results(files, validator, arguments), arguments)
    return _watch(validator, arguments) if arguments.watch else code


def _check_usage(arguments: Namespace) -> None:
    """Check that the options can be combined.

    Raises:
        UsageError: they cannot.

    """
    if arguments.dry_run and not arguments.fix:
        raise UsageError("--dry-run needs --fix")
    if arguments.write_baseline and arguments.baseline is None:
        raise UsageError("--write-baseline needs --baseline FILE, the file to write")
    if arguments.watch and (arguments.fix or arguments.write_baseline):
        raise UsageError("--watch cannot be combined with --fix or --write-baseline")
    if (arguments.watch or arguments.fix) and STDIN in arguments.files:
        raise UsageError("--watch and --fix need files, not standard input")


def _build_validator(arguments: Namespace) -> FileValidator:
    report_format = arguments.format
    settings = ValidateSettings(
        profiles=tuple(arguments.profile),
        packages=tuple(arguments.ig),
        plausibility=not arguments.no_plausibility,
        terminology=not arguments.no_terminology,
        severity=arguments.severity,
        select=tuple(arguments.select),
        ignore=tuple(arguments.ignore),
        show_values=arguments.show_values,
        every_excerpt=arguments.verbose,
        keep_source=report_format == "html" or arguments.html is not None,
        keep_parts=report_format == "junit" or arguments.junit is not None,
        max_bytes=arguments.max_bytes,
    )
    try:
        return FileValidator(settings)
    except TableError:
        raise
    except ValueError as error:  # a package that cannot be opened, or an unknown profile
        raise UsageError(str(error)) from error


def _check_rule_names(arguments: Namespace, canonicals: Canonicals) -> None:
    """Check the names of --select and --ignore: a misspelled name would hide every finding.

    Raises:
        UsageError: a rule is unknown.

    """
    for option in ("select", "ignore"):
        for rule in getattr(arguments, option):
            if rule != DEFECT and not _describe(rule, canonicals):
                raise UsageError(f"--{option} {_unknown_rule(rule, canonicals)}")


def _describe(rule: str, canonicals: Canonicals) -> list[RuleDescription]:
    """Return the descriptions of a rule; of a constraint one for each profile that defines it."""
    description = describe_rule(rule)
    return [description] if description else describe_constraints(rule, canonicals)


def _unknown_rule(rule: str, canonicals: Canonicals) -> str:
    names = [description.id for description in all_rules()] + sorted(constraint_keys(canonicals))
    hint = did_you_mean(rule, names) or ": give the package that defines it with --ig."
    return f"{rule}: unknown rule{hint} `validate --explain list` lists all rules"


def _report_options(arguments: Namespace) -> ReportOptions:
    to_terminal = arguments.output is None and sys.stdout.isatty()
    extra = any(getattr(arguments, name) for name in EXTRA_REPORTS)
    needs_version = extra or arguments.format not in {"text", "concise", "ndjson", "outcome"}
    return ReportOptions(
        show_values=arguments.show_values,
        colour=to_terminal and not os.environ.get("NO_COLOR"),
        verbose=arguments.verbose,
        version=version() if needs_version else "",
    )


def _results(
    files: Sequence[str], validator: FileValidator, arguments: Namespace
) -> Iterator[FileResult]:
    """Yield the result of each file without the findings of the baseline."""
    jobs = arguments.jobs or os.cpu_count() or 1
    results = worker_pool.validate_files(files, validator, jobs)
    if arguments.baseline is None or arguments.write_baseline:
        yield from results
        return
    yield from map(baseline.load(arguments.baseline).remove_known, results)


# --- reports


def _report(results: Iterable[FileResult], arguments: Namespace) -> int:
    """Write the reports; return the exit code."""
    options = _report_options(arguments)
    if arguments.write_baseline:
        files = list(results)
        number = baseline.save(arguments.baseline, files)
        _print(f"{arguments.baseline}: {pluralize(number, 'finding')} written")
        return _exit_code([msgspec.structs.replace(result, findings=()) for result in files])
    if arguments.format == "text" and arguments.output is None:
        files = _print_results(results, options)
        if arguments.stats:
            _print(*format_statistics(files))
    else:
        files = list(results)
        _write(render(files, arguments.format, options), arguments.output)
        if arguments.stats:
            sys.stderr.writelines(f"{line}\n" for line in format_statistics(files))
    for report_format in EXTRA_REPORTS:
        if (path := getattr(arguments, report_format)) is not None:
            _write(render(files, report_format, options), path)
    return _exit_code(files)


def _print_results(results: Iterable[FileResult], options: ReportOptions) -> list[FileResult]:
    """Print the text of each file as soon as it is validated, then the totals."""
    files = []
    for result in results:
        files.append(sanitize(result))
        _print(*format_file(files[-1], options))
        sys.stdout.flush()
    _print(*format_summary(files, options))
    return files


def _print(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _write(text: str, output: str | None) -> None:
    with open_output(output) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def _exit_code(results: Sequence[FileResult]) -> int:
    if any(result.read_error is not None for result in results):
        return 2
    if any(rule_id(issue) == DEFECT for result in results for issue in result.issues):
        return 3
    return int(not all(result.valid for result in results))


# --- --explain


def _explain(arguments: Namespace) -> int:
    """Print the description of one rule, or a table of all rules.

    Raises:
        UsageError: the rule is unknown.

    """
    if arguments.explain == LIST:
        for rule in all_rules():
            message = printable(rule.message)
            _print(f"{rule.severity:<11} {rule.stage:<12} {rule.id:<28} {message}")
        return 0
    description = describe_rule(arguments.explain)
    if description is not None:
        _print(*_format_description(description))
        return 0
    canonicals = _build_validator(arguments).validator.canonicals
    descriptions = _describe(arguments.explain, canonicals)
    if not descriptions:
        raise UsageError(f"--explain {_unknown_rule(arguments.explain, canonicals)}")
    for number, constraint in enumerate(descriptions):
        _print(*[""] * (number > 0), *_format_description(constraint))
    return 0


def _format_description(rule: RuleDescription) -> Iterator[str]:
    yield f"{rule.id} ({rule.severity}, {rule.stage})"
    yield ""
    yield f"  message   {printable(rule.message)}"
    yield f"  reason    {printable(rule.rationale)}"
    if rule.expression:
        yield f"  FHIRPath  {printable(rule.expression)}"
    yield f"  source    {printable(rule.source)}"


# --- --fix


def _fix(files: Sequence[str], validator: FileValidator, arguments: Namespace) -> int:
    """Fix what can be fixed, then report the remaining findings."""
    options = _report_options(arguments)
    remaining: list[FileResult] = []
    fixed_findings = fixed_files = 0
    for name in files:
        if not input_files.is_writable(name):
            sys.stderr.write(f"note: {printable(name)} is compressed and was not changed\n")
            remaining.append(validator.validate_file(name))
            continue
        fixed = fixes.fix_file(name, validator)
        remaining.append(fixed.remaining)
        if not fixed.fix_count:
            continue
        fixed_findings, fixed_files = fixed_findings + fixed.fix_count, fixed_files + 1
        if arguments.dry_run:
            _print(*fixes.unified_diff(name, fixed, show_values=options.show_values))
        else:
            fixes.save_text(name, fixed.after)
    findings, changed = pluralize(fixed_findings, "finding"), pluralize(fixed_files, "file")
    if arguments.dry_run:
        rest = format_counts(total_counts(remaining))
        sys.stderr.write(f"{findings} would be fixed in {changed}; remaining: {rest}\n")
        if fixed_findings and not options.show_values:
            sys.stderr.write("values are masked: --show-values shows them\n")
        return max(_exit_code(remaining), int(fixed_findings > 0))
    sys.stderr.write(f"{findings} fixed in {changed}; remaining findings:\n")
    return _report(remaining, arguments)


# --- --minimal


def _minimize(files: Sequence[str], validator: FileValidator, arguments: Namespace) -> int:
    """Write the smallest resource that shows the most severe finding of the first bad resource."""
    for name in files:
        for value in _values(name, validator.max_bytes):
            issues = _reported_issues(value, validator)
            if not issues:
                continue
            issue = min(issues, key=lambda issue: SEVERITIES.index(issue.severity))
            minimized = minimize.minimize(
                value, issue, lambda candidate: _reported_issues(candidate, validator)
            )
            write_bytes(dumps(minimized.resource, indent=2), arguments.minimal)
            for line in _minimize_notes(issue, minimized, arguments.minimal):
                sys.stderr.write(f"{line}\n")
            return 1
    sys.stderr.write(f"no findings: {arguments.minimal} was not written\n")
    return 0


def _reported_issues(value: Any, validator: FileValidator) -> list[Issue]:
    issues = validator.validator.validate(dumps(value))
    return [issue for issue in issues if validator.is_reported(issue)]


def _values(name: str, limit: int) -> Iterator[Any]:
    """Yield the resources of a file; invalid JSON raises JsonError, or is a line to skip."""
    if not is_ndjson_name(name):
        yield read_json(name, limit)
        return
    with open_stream(name) as stream:
        for _, value in read_lines(stream):
            if not isinstance(value, JsonError):
                yield value


def _minimize_notes(
    issue: Issue, minimized: minimize.MinimizedResource, output: str
) -> Iterator[str]:
    yield f"{output}: smallest resource that shows {rule_id(issue)}"
    if minimized.original_values:
        pointers = ("/" + "/".join(map(str, path)) for path in minimized.original_values)
        paths = printable(", ".join(pointers))
        yield f"these values are unchanged because the finding depends on them: {paths}"
        yield "check them before you share the file"


# --- --watch


def _watch(validator: FileValidator, arguments: Namespace) -> int:
    """Validate files again when they change, until interrupted."""

    def list_files() -> list[str]:
        try:
            return input_files.expand_paths(arguments.files)
        except UsageError:  # a folder is empty for a moment
            return []

    for changed in watch.changes(list_files):
        files = [name for name in changed if Path(name).exists()]
        _print("", f"changed: {', '.join(map(printable, changed))}", "")
        if files:
            _report(_results(files, validator, arguments), arguments)
    return 0
