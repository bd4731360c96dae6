"""The command `validate`: everything that is wrong with FHIR R4 data, and what to do about it."""

import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.cli import baseline, fixes, hl7_options, input_files, minimize, watch, worker_pool
from fhir_b12.cli.file_validator import DEFECT, Checker, Settings
from fhir_b12.cli.streams import UsageError, printable, sink, write
from fhir_b12.cli.version import version
from fhir_b12.data import TableError
from fhir_b12.issues import SEVERITIES, Issue
from fhir_b12.jsonio import JsonError, dumps, loads, open_stream, read_lines
from fhir_b12.reports import Checked, Options, render
from fhir_b12.reports.file_results import cleaned, counted, rule_of, tally, totals
from fhir_b12.reports.rule_descriptions import Explained, explain, known
from fhir_b12.reports.text_report import file_text, statistics, summary

BESIDE = ("html", "sarif", "junit")  #: reports that can be written beside the one of --format
LIST = "list"  #: asks --explain for every rule


def run(arguments: Namespace) -> int:
    """Validate what is given; 0 no error, 1 errors, 2 what cannot be done or read, 3 a defect."""
    try:
        return _run(arguments)
    except TableError as error:  # a file of the library is broken: exit code 2, not a finding
        raise UsageError(str(error)) from error


def _run(arguments: Namespace) -> int:
    hl7_options.settle(arguments)
    if arguments.explain is not None:
        return _explain(arguments)
    if not arguments.files:
        raise UsageError("name files or folders to validate, or - for standard input")
    for note in hl7_options.notes(arguments):
        sys.stderr.write(f"{note}\n")
    _check_usage(arguments)
    files = input_files.expanded(arguments.files)
    checker = _checker(arguments)
    if arguments.minimal is not None:
        return _minimal(files, checker, arguments)
    if arguments.fix:
        return _fix(files, checker, arguments)
    code = _report(_results(files, checker, arguments), arguments)
    return _watch(checker, arguments) if arguments.watch else code


def _check_usage(arguments: Namespace) -> None:
    """What does not go together."""
    if arguments.dry_run and not arguments.fix:
        raise UsageError("--dry-run shows what --fix would do: give both")
    if arguments.write_baseline and arguments.baseline is None:
        raise UsageError("--write-baseline needs --baseline FILE, the file to write")
    if arguments.watch and (arguments.fix or arguments.write_baseline):
        raise UsageError("--watch only looks: leave out --fix and --write-baseline")
    if (arguments.watch or arguments.fix) and input_files.STDIN in arguments.files:
        raise UsageError("--watch and --fix need files, not standard input")


def _checker(arguments: Namespace) -> Checker:
    form = arguments.format
    settings = Settings(
        profiles=tuple(arguments.profile),
        packages=tuple(arguments.ig),
        plausibility=not arguments.no_plausibility,
        terminology=not arguments.no_terminology,
        severity=arguments.severity,
        select=tuple(arguments.select),
        ignore=tuple(arguments.ignore),
        show_values=arguments.show_values,
        every_excerpt=arguments.verbose,
        keep_source=form == "html" or arguments.html is not None,
        keep_parts=form == "junit" or arguments.junit is not None,
        max_bytes=arguments.max_bytes,
    )
    try:
        return Checker(settings)
    except ValueError as error:  # a package that cannot be opened, a profile that is not known
        raise UsageError(str(error)) from error


def _options(arguments: Namespace) -> Options:
    to_terminal = arguments.output is None and sys.stdout.isatty()
    beside = any(getattr(arguments, form) for form in BESIDE)
    needed = beside or arguments.format not in {"text", "concise", "ndjson", "outcome"}
    return Options(
        show_values=arguments.show_values,
        colour=to_terminal and not os.environ.get("NO_COLOR"),
        verbose=arguments.verbose,
        version=version() if needed else "",
    )


def _results(files: Sequence[str], checker: Checker, arguments: Namespace) -> Iterator[Checked]:
    """Each file's findings without those the baseline knows."""
    jobs = arguments.jobs or os.cpu_count() or 1
    results = worker_pool.check(files, checker, jobs)
    if arguments.baseline is None or arguments.write_baseline:
        yield from results
        return
    held = baseline.load(arguments.baseline)
    yield from map(held.without_known, results)


# --- reports


def _report(results: Iterable[Checked], arguments: Namespace) -> int:
    """Write what was asked for; give the exit code."""
    options = _options(arguments)
    if arguments.write_baseline:
        held = list(results)
        number = baseline.save(arguments.baseline, held)
        said = f"{counted(number, 'finding')} {'is' if number == 1 else 'are'} known from now on"
        _say(f"{arguments.baseline}: {said}")
        return _code([msgspec.structs.replace(each, found=()) for each in held])
    if arguments.format == "text" and arguments.output is None:
        held = _as_they_come(results, options)
        if arguments.stats:
            _say(*statistics(held))
    else:
        held = list(results)
        _write(render(held, arguments.format, options), arguments.output)
        if arguments.stats:
            sys.stderr.writelines(f"{line}\n" for line in statistics(held))
    for form in BESIDE:
        if (path := getattr(arguments, form)) is not None:
            _write(render(held, form, options), path)
    return _code(held)


def _as_they_come(results: Iterable[Checked], options: Options) -> list[Checked]:
    """The text of each file as soon as it is there, then the sums."""
    held = []
    for result in results:
        held.append(cleaned(result))
        _say(*file_text(held[-1], options))
        sys.stdout.flush()
    _say(*summary(held, options))
    return held


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _write(text: str, output: str | None) -> None:
    with sink(output) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def _code(results: Sequence[Checked]) -> int:
    if any(result.trouble is not None for result in results):
        return 2
    if any(rule_of(issue) == DEFECT for result in results for issue in result.issues):
        return 3
    return int(not all(result.valid for result in results))


# --- --explain


def _explain(arguments: Namespace) -> int:
    """Say what rules mean: one, or all in a table."""
    if arguments.explain == LIST:
        for rule in known():
            _say(f"{rule.severity:<11} {rule.stage:<12} {rule.id:<28} {printable(rule.says)}")
        return 0
    asked = explain(arguments.explain)
    if asked is None:
        raise UsageError(f"no rule {arguments.explain}: --explain list names them")
    _say(*_words(asked))
    return 0


def _words(rule: Explained) -> Iterator[str]:
    yield f"{rule.id} ({rule.severity}, {rule.stage})"
    yield ""
    yield f"  says    {rule.says}"
    yield f"  why     {rule.why}"
    if rule.expression:
        yield f"  FHIRPath {rule.expression}"
    yield f"  source  {rule.source}"


# --- --fix


def _fix(files: Sequence[str], checker: Checker, arguments: Namespace) -> int:
    """Mend what can be mended, then tell what is left."""
    options = _options(arguments)
    left: list[Checked] = []
    remedies = changed = 0
    for name in files:
        if not input_files.is_plain(name):
            sys.stderr.write(f"note: {printable(name)} is packed and stays as it is\n")
            left.append(checker.file(name))
            continue
        mended = fixes.mend(name, checker)
        left.append(mended.result)
        if not mended.remedies:
            continue
        remedies, changed = remedies + mended.remedies, changed + 1
        if arguments.dry_run:
            _say(*fixes.difference(name, mended, show_values=options.show_values))
        else:
            fixes.save(name, mended.after)
    past = "was" if remedies == 1 else "were"
    word = "would be" if arguments.dry_run else past
    word = f"{word} mended in {counted(changed, 'file')}; what is left:"
    told = f"{counted(remedies, 'finding')} {word}"
    if arguments.dry_run:
        sys.stderr.write(f"{told} {tally(totals(left))}\n")
        if remedies and not options.show_values:
            sys.stderr.write("values are masked; --show-values shows them\n")
        return max(_code(left), int(remedies > 0))
    sys.stderr.write(f"{told}\n")
    return _report(left, arguments)


# --- --minimal


def _minimal(files: Sequence[str], checker: Checker, arguments: Namespace) -> int:
    """Write the smallest resource that shows the first fault."""
    for name in files:
        for value in _values(name, checker.limit):
            issues = _wanted(value, checker)
            if not issues:
                continue
            grave = min(SEVERITIES.index(issue.severity) for issue in issues)
            fault = next(each for each in issues if SEVERITIES.index(each.severity) == grave)
            found = minimize.smallest(value, fault, lambda each: _wanted(each, checker))
            write(dumps(found.resource, indent=2), arguments.minimal)
            for line in _account(fault, found, arguments.minimal):
                sys.stderr.write(f"{line}\n")
            return 1
    sys.stderr.write("nothing to show: no fault was found\n")
    return 0


def _wanted(value: Any, checker: Checker) -> list[Issue]:
    return [issue for issue in checker.validate(dumps(value)) if checker.wanted(issue)]


def _values(name: str, limit: int) -> Iterator[Any]:
    """The resources of a file; what is no JSON is an error, for nothing can be left out of it."""
    if not input_files.has_lines(name):
        yield loads(input_files.read(name, limit), max_bytes=limit)
        return
    with open_stream(name) as stream:
        for _, value in read_lines(stream):
            if not isinstance(value, JsonError):
                yield value


def _account(fault: Issue, found: minimize.Smallest, output: str) -> Iterator[str]:
    yield f"{output}: the smallest resource that shows {rule_of(fault)}"
    if found.kept:
        places = ", ".join("/" + "/".join(map(str, path)) for path in found.kept)
        yield f"look at these before you send it, the fault needs their values: {printable(places)}"


# --- --watch


def _watch(checker: Checker, arguments: Namespace) -> int:
    """Validate again what changes, until interrupted."""

    def present() -> list[str]:
        try:
            return input_files.expanded(arguments.files)
        except UsageError:  # a folder is empty for a moment
            return []

    for changed in watch.changes(present):
        files = [name for name in changed if Path(name).exists()]
        _say("", f"changed: {', '.join(map(printable, changed))}", "")
        if files:
            _report(_results(files, checker, arguments), arguments)
    return 0
