"""The command line, `fhir-b12 COMMAND`: what can be asked, and how failure is said."""

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from fhir_b12.cli import hl7_options, server
from fhir_b12.cli.streams import Findings, UsageError
from fhir_b12.cli.version import Show
from fhir_b12.data import TableError
from fhir_b12.issues import SEVERITIES

Parser = argparse.ArgumentParser
Add = Callable[..., Parser]


class _Later:
    """A module of commands that is loaded when one of them runs: start-up is quick."""

    def __init__(self, name: str) -> None:
        self._name = f"fhir_b12.cli.{name}"

    def __getattr__(self, command: str) -> Callable[[argparse.Namespace], int]:
        def run(arguments: argparse.Namespace) -> int:
            code: int = getattr(import_module(self._name), command)(arguments)
            return code

        return run


demo, explain, mapping, package, tables, validate = map(
    _Later, ("demo", "explain", "mapping", "package", "tables", "validate")
)

#: The names of `fhir_b12.reports.FORMATS`, which are not loaded for their names alone.
_REPORTS = ("text", "concise", "json", "ndjson", "outcome", "sarif", "junit", "html")
_CODES = """
exit codes:
  0  all is well
  1  something is wrong with the data, or nothing was found; standard error says what
  2  the command cannot be carried out as it was given
  3  a defect of fhir-b12 itself
"""
_JSON = "- is standard input; .gz and .bz2 are unpacked"
_LINES = f"JSON, or NDJSON of any length where the name ends in .ndjson; {_JSON}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    if sys.stdout is None or sys.stderr is None:  # closed by the shell, `>&-`
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter the terminal lacks is no error
            stream.reconfigure(errors="backslashreplace")
    arguments = parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130  # as the shell counts: 128 + SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
        return 141  # 128 + SIGPIPE
    except Exception as error:  # noqa: BLE001 - a traceback may show a patient's values
        return _failed(error)
    return code


def _failed(error: Exception) -> int:
    """Say what stopped the command; give the exit code."""
    issues = getattr(error, "issues", ())
    if issues:  # of a JsonError or a MappingError
        findings = Findings()
        findings.tell(issues)
        return findings.code
    if isinstance(error, TableError):
        sys.stderr.write(f"{error}\n")
        return 1
    if isinstance(error, (UsageError, OSError)):
        sys.stderr.write(f"fhir-b12: {error}\n")
        return 2
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}:{last.lineno}"
    sys.stderr.write(f"fhir-b12: {type(error).__name__} at {place}: a defect, please report it\n")
    return 3


def parser() -> Parser:
    """All commands with their arguments; each `--help` ends in examples that run as they stand."""
    whole = Parser(
        prog="fhir-b12",
        description="Vitamin B12 infusion therapy records to and from HL7 FHIR R4, losing nothing.",
        epilog="Begin with `fhir-b12 demo`; `fhir-b12 COMMAND --help` tells all of a command.",
    )
    whole.add_argument("--version", action=Show)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str, *examples: str) -> Parser:
        shown = "".join(f"  fhir-b12 {name} {example}".rstrip() + "\n" for example in examples)
        made: Parser = commands.add_parser(
            name,
            help=text.partition(". ")[0].rstrip("."),
            description=text,
            epilog=f"examples:\n{shown}{_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    _carrying(add)
    _explaining(add)
    _answering(add)
    _validating(add)
    server.add(add)
    return whole


def _carrying(add: Add) -> None:
    made = add(
        "demo",
        demo.run,
        "A course of B12 infusions to FHIR and back, proven; then a Bundle nobody here wrote.",
        "",
        "bundle.json",
        "--save try",
    )
    made.add_argument("input", nargs="?", metavar="BUNDLE", help=f"a FHIR Bundle; {_JSON}")
    made.add_argument("--save", metavar="FOLDER", help="write course.json and bundle.json there")

    made = add(
        "to-fhir",
        mapping.to_fhir,
        "Therapy records to FHIR resources: a Bundle that, sent twice, changes nothing the second\n"
        "time. Where anything is wrong, all of it is listed and nothing is written.",
        "course.json",
        "course.json --type collection --output bundle.json",
        "course.json --format ndjson --output folder",
        "records.ndjson --output resources.ndjson",
    )
    _reads(made, f"a therapy record (see `schema`), or a list of them; {_LINES}")
    made.add_argument(
        "--type",
        choices=("transaction", "collection", "list"),
        help="of Bundle, or a plain list of resources; transaction if not given",
    )
    _writes(
        made,
        "json: one text; ndjson: a resource a line; text: a table of entries",
        "with ndjson, a name that does not end in .ndjson is a folder: one file a type",
    )

    made = add(
        "from-fhir",
        mapping.from_fhir,
        "FHIR resources to therapy records, one for each patient. What can be read is written,\n"
        "what is wrong is listed, and what no table reads is counted.",
        "bundle.json",
        "bundle.json --format text",
        "resources.ndjson --output records.ndjson",
    )
    _reads(made, f"a Bundle of any type, a list of resources or one; {_LINES}")
    _writes(
        made, 'json: one text; ndjson: a line a record, {"kind": "LabResult", ...}; text: a table'
    )

    made = add(
        "update",
        mapping.update,
        "Change a Bundle where the records say something else; the rest stays, digit for digit.",
        "bundle.json course.json --output changed.json",
        "bundle.json course.json --format text",
    )
    made.add_argument("bundle", metavar="BUNDLE", help=f"a Bundle, or one resource; {_JSON}")
    _reads(made, "therapy records as `from-fhir` writes them, then changed", "records")
    _writes(made, "json: the changed Bundle; text: the paths that change", forms=("json", "text"))


def _explaining(add: Add) -> None:
    made = add(
        "explain",
        explain.explain,
        "For each element of a resource: its class, the table and row that read it, the field of\n"
        "the record, codec, code table and key; or why it is in no record.",
        "bundle.json",
        "bundle.json --format json --output explained.json",
    )
    _reads(made, f"a Bundle, a list of resources or one; {_LINES}")
    _writes(made, "text: a table; json: a list; ndjson: a line an element", default="text")

    made = add(
        "ledger",
        explain.ledger,
        "How many leaves went where: mapped, constant, derived, or residue with the reason.",
        "bundle.json",
        "bundle.json --all",
        "resources.ndjson --format json",
    )
    _reads(made, f"a Bundle, a list of resources or one; {_LINES}")
    made.add_argument("--all", action="store_true", help="every leaf instead of the sums")
    _writes(
        made, "text: a table; json: one text; ndjson: with --all, a line a leaf", default="text"
    )


def _answering(add: Add) -> None:
    made = add(
        "mappings",
        tables.mappings,
        "The mapping tables as documentation: which element is which field.",
        "",
        "lab_result infusion",
        "--format json --output mappings.json",
    )
    made.add_argument("name", nargs="*", metavar="NAME", help="a table; all if none is named")
    _writes(made, "text: a table; json: one text", default="text", forms=("text", "json"))

    made = add(
        "codes",
        tables.search,
        "The code tables, both ways: a key's codes, what a code means, rows that hold a text.",
        "",
        "holotranscobalamin",
        "intrinsic --table lab_tests",
        "--key serum-vitamin-b12-mass",
    )
    made.add_argument(
        "text", nargs="?", metavar="TEXT", help="part of a key, word, code or display"
    )
    made.add_argument("--key", help="the row of this key")
    made.add_argument(
        "--code", metavar="SYSTEM|CODE", help="what a code means, e.g. of loinc or sct"
    )
    made.add_argument("--table", metavar="NAME", help="look in this table only")
    _writes(made, "text: a table; json: a list; ndjson: a line a row", default="text")

    made = add(
        "convert",
        tables.convert,
        "A measured value in another unit, with as many figures as were measured. Between mass\n"
        "and amount of substance the analyte must be named.",
        "1500 ug mg",
        "180.00 pg/mL pmol/L --analyte cobalamin",
        "'<150' pg/mL pmol/L --test serum-vitamin-b12-mass",
    )
    made.add_argument(
        "value", metavar="VALUE", help="a number, with < <= >= > before it if need be"
    )
    made.add_argument("unit", metavar="UNIT", help="its unit, UCUM or a known spelling")
    made.add_argument("to", metavar="TO", help="the unit wanted, UCUM")
    made.add_argument("--analyte", help="what was measured, from codes/analytes.toml")
    made.add_argument("--test", metavar="KEY", help="the laboratory test: its key or SYSTEM|CODE")
    _writes(made, "text: the value; json: a FHIR Quantity", default="text", forms=("text", "json"))

    made = add(
        "schema",
        tables.schema,
        "The JSON Schema (draft 2020-12) of a therapy record as plain JSON.",
        "",
        "--output therapy-record.schema.json",
    )
    made.add_argument(
        "--output", "-o", metavar="FILE", help="write there instead of standard output"
    )

    made = add(
        "package",
        package.package,
        "Our profiles, value sets, code systems, concept maps and examples as a FHIR package, for\n"
        "any validator or server. The same bytes each time.",
        "",
        "--output guide",
        "--output b12.tgz",
    )
    made.add_argument(
        "--output",
        "-o",
        metavar="FOLDER|FILE.tgz",
        default=".",
        help="write there; into this folder if not given",
    )


def _validating(add: Add) -> None:
    made = add(
        "validate",
        validate.run,
        "Everything that is wrong with FHIR R4 data: what, where, why and the remedy. Offline.\n"
        "It exits with 0 where no error is found, whatever the warnings.",
        "bundle.json",
        "resources.ndjson --jobs 2 --stats",
        "bundle.json --format sarif --output report.sarif --html report.html",
        "--explain list",
    )
    made.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="a resource, a Bundle, NDJSON by name, or a folder of them; " + _JSON,
    )
    _choosing(made)
    _reporting(made)
    _mending(made)
    hl7_options.add(made)


def _choosing(made: Parser) -> None:
    """By what to validate, and what of it to report."""
    group = made.add_argument_group("what is checked")
    add = group.add_argument
    listed: dict[str, Any] = {"action": "append", "default": []}
    add("--profile", "-profile", metavar="URL", help="hold resources to this profile too", **listed)
    add(
        "--ig",
        "-ig",
        metavar="PACKAGE",
        help="a FHIR package: .tgz, folder, definition, or name#version in ~/.fhir/packages",
        **listed,
    )
    add("--no-plausibility", action="store_true", help="no advice on what looks mistaken")
    add("--no-terminology", action="store_true", help="no codes, displays and units")
    add(
        "--severity",
        choices=SEVERITIES,
        default="information",
        help="report nothing less grave than this",
    )
    add("--select", metavar="RULE", help="report only this rule; may be repeated", **listed)
    add("--ignore", metavar="RULE", help="do not report this rule; may be repeated", **listed)
    add("--baseline", metavar="FILE", help="findings that are known: neither told nor counted")
    add("--write-baseline", action="store_true", help="write all findings to the baseline")
    add("--max-bytes", type=_count, metavar="N", help="refuse a text or a line longer than N")


def _reporting(made: Parser) -> None:
    """How to report."""
    add = made.add_argument_group("how it is told").add_argument
    add("--format", choices=_REPORTS, default="text", help="of the report; text if not given")
    add("--output", "-o", "-output", metavar="FILE", help="write the report there")
    for form in ("html", "sarif", "junit"):
        add(f"--{form}", metavar="FILE", help=f"write a report as {form} besides")
    add("--show-values", action="store_true", help="values of the data too, not only keys")
    add("--verbose", action="store_true", help="each finding by itself, none folded")
    add("--stats", action="store_true", help="how often each rule was broken, and the speed")
    add("--explain", metavar="RULE", help="what a rule says, why, and its source; list: all rules")


def _mending(made: Parser) -> None:
    """What to do with what is found."""
    add = made.add_argument_group("what is done").add_argument
    add("--fix", action="store_true", help="mend in the files what is marked [*]")
    add("--dry-run", action="store_true", help="with --fix: show the changes, write nothing")
    add("--minimal", metavar="FILE", help="write the smallest resource that shows the first fault")
    add("--watch", action="store_true", help="validate again whenever a file changes")
    add(
        "--jobs",
        "-j",
        type=_jobs,
        default=1,
        metavar="N",
        help="processes over files and lines of NDJSON; 0: one for each core",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("write a whole number above zero")
    return int(text)


def _jobs(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _reads(command: Parser, text: str, name: str = "file") -> None:
    command.add_argument(name, metavar=name.upper(), help=text)
    command.add_argument(
        "--max-bytes",
        type=_count,
        metavar="N",
        help="refuse a text, or a line of NDJSON, longer than N",
    )


def _writes(
    command: Parser,
    text: str,
    file: str = "",
    *,
    default: str | None = None,
    forms: Sequence[str] = ("json", "ndjson", "text"),
) -> None:
    command.add_argument("--format", choices=forms, default=default, help=text)
    command.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help=f"write there, packed if it ends in .gz or .bz2{'; ' if file else ''}{file}",
    )
