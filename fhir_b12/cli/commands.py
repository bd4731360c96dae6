"""Parser of the command line `fhir-b12 COMMAND`, and the exit code of every failure."""

import argparse
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from fhir_b12.cli import hl7_options, server
from fhir_b12.cli.streams import IssuePrinter, UsageError
from fhir_b12.cli.version import VersionAction
from fhir_b12.data import TableError
from fhir_b12.issues import SEVERITIES
from fhir_b12.suggestions import did_you_mean, did_you_mean_or_list

AddCommand = Callable[..., argparse.ArgumentParser]


class _LazyModule:
    """A module of commands that is imported when one of them runs, so that startup is fast."""

    def __init__(self, name: str) -> None:
        self._name = f"fhir_b12.cli.{name}"

    def __getattr__(self, command: str) -> Callable[[argparse.Namespace], int]:
        def run(arguments: argparse.Namespace) -> int:
            code: int = getattr(import_module(self._name), command)(arguments)
            return code

        return run


demo, explain, mapping, package, tables, validate = map(
    _LazyModule, ("demo", "explain", "mapping", "package", "tables", "validate")
)

#: The names of `fhir_b12.reports.FORMATS`, which is slow to import.
REPORT_FORMATS = ("text", "concise", "json", "ndjson", "outcome", "sarif", "junit", "html")
_EXIT_CODES = """
exit codes:
  0  success
  1  errors in the data, or no result; standard error says which
  2  wrong usage, or a file that cannot be opened
  3  a defect of fhir-b12
"""
_STDIN = "- reads standard input; .gz and .bz2 are decompressed"
_NDJSON = f"JSON, or NDJSON (.ndjson, .jsonl) of any length; {_STDIN}"


class CommandParser(argparse.ArgumentParser):
    """Argument parser that suggests the right name for a misspelled choice or option."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the class has no public name
            hint = did_you_mean(value, names) or "; `fhir-b12 --help` lists the commands"
            raise argparse.ArgumentError(None, f"unknown command {value!r}{hint}")
        hint = did_you_mean_or_list(str(value), names)
        raise argparse.ArgumentError(action, f"unknown value {value!r}{hint}")

    def parse_known_args(  # type: ignore[override]  # the overloads of the base are equivalent
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the arguments of a command; an unknown option is an error with a suggestion."""
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            options = [option for option in self._option_string_actions if option != "-h"]
            hint = did_you_mean(rest[0].partition("=")[0], options) if rest[0][0] == "-" else ""
            self.error(f"unknown argument {rest[0]!r}{hint}")
        return parsed, rest


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the command and its arguments; the default is `sys.argv[1:]`.

    Returns:
        The exit code: 0 success, 1 errors in the data, 2 wrong usage, 3 a defect, 130 interrupted,
        141 standard output was closed by its reader.

    """
    if sys.stdout is None or sys.stderr is None:  # closed by the shell, `>&-`
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # print what the encoding lacks as an escape
            stream.reconfigure(errors="backslashreplace")
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing must not fail
        return 141  # 128 + SIGPIPE
    except Exception as error:  # noqa: BLE001 - a traceback may show a patient's values
        return _report_failure(error)
    return code


def _report_failure(error: Exception) -> int:
    """Print why a command failed; return the exit code."""
    issues = getattr(error, "issues", ())
    if issues:  # of a JsonError or a MappingError
        printer = IssuePrinter()
        printer.report(issues)
        return printer.exit_code
    if isinstance(error, TableError):
        sys.stderr.write(f"{error}\n")
        return 1
    if isinstance(error, (UsageError, OSError)):
        sys.stderr.write(f"fhir-b12: {error}\n")
        return 2
    last = traceback.extract_tb(error.__traceback__)[-1]
    position = f"{Path(last.filename).name}:{last.lineno}"
    name = type(error).__name__
    sys.stderr.write(f"fhir-b12: {name} at {position}: this is a defect, please report it\n")
    return 3


def build_parser() -> CommandParser:
    """Return the parser of all commands; each `--help` ends with examples that run."""
    parser = CommandParser(
        prog="fhir-b12",
        description="Convert vitamin B12 infusion therapy records to HL7 FHIR R4 and back without "
        "loss, and validate FHIR R4 data.",
        epilog="Start with `fhir-b12 demo`. `fhir-b12 COMMAND --help` describes a command.",
    )
    parser.add_argument("--version", action=VersionAction)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(name: str, run: Any, text: str, *examples: str) -> CommandParser:
        lines = "".join(f"  fhir-b12 {name} {example}".rstrip() + "\n" for example in examples)
        command: CommandParser = commands.add_parser(
            name,
            help=re.split(r"\.\s", text)[0].rstrip(".").replace("\n", " "),
            description=text,
            epilog=f"examples:\n{lines}{_EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    _add_demo(add)
    _add_conversions(add)
    _add_explanations(add)
    _add_lookups(add)
    _add_publications(add)
    _add_validate(add)
    server.add_commands(add)
    return parser


def _add_demo(add: AddCommand) -> None:
    command = add(
        "demo",
        demo.run,
        "Convert a sample therapy record to FHIR and back, and check every step. Then do the same\n"
        "with a Bundle of another system.",
        "",
        "bundle.json",
        "--save try",
    )
    command.add_argument("input", nargs="?", metavar="BUNDLE", help=f"a FHIR Bundle; {_STDIN}")
    command.add_argument(
        "--save", metavar="FOLDER", help="write course.json and bundle.json to this folder"
    )


def _add_conversions(add: AddCommand) -> None:
    command = add(
        "to-fhir",
        mapping.to_fhir,
        "Convert therapy records to FHIR resources. By default the output is a transaction Bundle\n"
        "that changes nothing when it is sent again. If a record has errors, all of them are\n"
        "listed and nothing is written.",
        "course.json",
        "course.json --type collection --output bundle.json",
        "course.json --format ndjson --output folder",
        "records.ndjson --output resources.ndjson",
    )
    _add_input(command, f"a therapy record (see `schema`) or a list of records; {_NDJSON}")
    command.add_argument(
        "--type",
        choices=("transaction", "collection", "list"),
        help="type of the Bundle, or `list` for a plain list of resources (default: transaction)",
    )
    _add_output(
        command,
        "json: one document; ndjson: one resource a line; text: a table of the entries",
        "with ndjson, a name without .ndjson or .jsonl is a folder: one file for each type",
    )

    command = add(
        "from-fhir",
        mapping.from_fhir,
        "Convert FHIR resources to therapy records, one for each patient. What can be read is\n"
        "written, errors are listed, and resources that no mapping table reads are counted.",
        "bundle.json",
        "bundle.json --format text",
        "resources.ndjson --output records.ndjson",
    )
    _add_input(command, f"a Bundle of any type, a resource or a list of resources; {_NDJSON}")
    _add_output(
        command,
        'json: one document; ndjson: one record a line, {"kind": "LabResult", ...}; text: a table',
    )

    command = add(
        "update",
        mapping.update,
        "Update a Bundle with changed records. Only elements that the records change are changed;\n"
        "everything else is preserved, digit for digit.",
        "bundle.json course.json --output changed.json",
        "bundle.json course.json --format text",
    )
    command.add_argument("bundle", metavar="BUNDLE", help=f"a Bundle or one resource; {_STDIN}")
    _add_input(command, "therapy records as `from-fhir` writes them, with changes", "records")
    _add_output(
        command, "json: the updated Bundle; text: the changed paths", formats=("json", "text")
    )


def _add_explanations(add: AddCommand) -> None:
    command = add(
        "explain",
        explain.explain,
        "Show for each element of a resource the mapping table and row that read it, the record\n"
        "field, codec, code table and key; or why it is in no record.",
        "bundle.json",
        "bundle.json --format json --output explained.json",
    )
    _add_input(command, f"a Bundle, a resource or a list of resources; {_NDJSON}")
    _add_output(command, "text: a table; json: a list; ndjson: one element a line", default="text")

    command = add(
        "ledger",
        explain.ledger,
        "Count where the values of a resource went: mapped, constant, derived, or residue with\n"
        "the reason.",
        "bundle.json",
        "bundle.json --all",
        "resources.ndjson --format json",
    )
    _add_input(command, f"a Bundle, a resource or a list of resources; {_NDJSON}")
    command.add_argument("--all", action="store_true", help="list every value instead of totals")
    _add_output(
        command,
        "text: a table; json: one document; ndjson: with --all, one value a line",
        default="text",
    )


def _add_lookups(add: AddCommand) -> None:
    command = add(
        "mappings",
        tables.mappings,
        "Show the mapping tables: which FHIR element is which record field. With --check, report\n"
        "every fault of the mapping tables, code tables and units instead.",
        "",
        "lab_result infusion",
        "--format json --output mappings.json",
        "--check",
    )
    command.add_argument("name", nargs="*", metavar="NAME", help="tables to show (default: all)")
    command.add_argument(
        "--check", action="store_true", help="report every fault with file, row and key"
    )
    _add_output(
        command, "text: a table; json: one document", default="text", formats=("text", "json")
    )

    command = add(
        "codes",
        tables.search_codes,
        "Search the code tables by text, key or code. Without arguments, list the tables.",
        "",
        "holotranscobalamin",
        "intrinsic --table lab_tests",
        "--key serum-vitamin-b12-mass",
    )
    command.add_argument(
        "text", nargs="?", metavar="TEXT", help="part of a key, name, spelling, code or display"
    )
    command.add_argument("--key", help="show the row with this key")
    command.add_argument(
        "--code", metavar="SYSTEM|CODE", help="show what a code means; SYSTEM is a URI, loinc, sct"
    )
    command.add_argument("--table", metavar="NAME", help="search only this table")
    _add_output(command, "text: a table; json: a list; ndjson: one row a line", default="text")

    command = add(
        "convert",
        tables.convert,
        "Convert a measured value to another unit with the precision of the measurement.\n"
        "Conversion between mass and amount of substance needs the analyte or the test.",
        "1500 ug mg",
        "180.00 pg/mL pmol/L --analyte cobalamin",
        "'<150' pg/mL pmol/L --test serum-vitamin-b12-mass",
    )
    command.add_argument(
        "value", metavar="VALUE", help="a number, with <, <=, >= or > before it if needed"
    )
    command.add_argument("unit", metavar="UNIT", help="its unit: UCUM, or a known spelling")
    command.add_argument("to", metavar="TO", help="the target unit: UCUM, or a known spelling")
    command.add_argument(
        "--analyte", metavar="NAME", help="what was measured, e.g. cobalamin or folate"
    )
    command.add_argument(
        "--test", metavar="KEY", help="the laboratory test: its key or SYSTEM|CODE"
    )
    _add_output(
        command, "text: the value; json: a FHIR Quantity", default="text", formats=("text", "json")
    )


def _add_publications(add: AddCommand) -> None:
    command = add(
        "schema",
        tables.schema,
        "Write the JSON Schema (draft 2020-12) of a therapy record.",
        "",
        "--output therapy-record.schema.json",
    )
    command.add_argument(
        "--output", "-o", metavar="FILE", help="write to this file instead of standard output"
    )

    command = add(
        "package",
        package.package,
        "Write our profiles, value sets, code systems, concept maps and examples as a FHIR\n"
        "package for any validator or server. The output is reproducible, byte for byte.",
        "",
        "--output guide",
        "--output b12.tgz",
    )
    command.add_argument(
        "--output",
        "-o",
        metavar="FOLDER|FILE.tgz",
        default=".",
        help="folder or file to write (default: the current folder)",
    )


def _add_validate(add: AddCommand) -> None:
    command = add(
        "validate",
        validate.run,
        "Validate FHIR R4 data offline: structure, invariants, references, profiles, terminology\n"
        "and clinical plausibility. The exit code is 0 if there are no errors; warnings are\n"
        "allowed.",
        "bundle.json",
        "resources.ndjson --jobs 2 --stats",
        "bundle.json --format sarif --output report.sarif --html report.html",
        "--explain list",
    )
    command.usage = "fhir-b12 validate [OPTIONS] [FILE ...]"
    command.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help=f"a resource, a Bundle, NDJSON, or a folder of such files; {_STDIN}",
    )
    _add_rule_options(command)
    _add_report_options(command)
    _add_action_options(command)
    hl7_options.add_options(command)


def _add_rule_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("rules").add_argument
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    add(
        "--profile",
        "-profile",
        metavar="URL",
        help="also validate against this profile; may be repeated",
        **repeatable,
    )
    add(
        "--ig",
        "-ig",
        metavar="PACKAGE",
        help="load a FHIR package: a .tgz, a folder, one definition, or name#version from "
        "~/.fhir/packages; may be repeated",
        **repeatable,
    )
    add("--no-plausibility", action="store_true", help="do not check clinical plausibility")
    add("--no-terminology", action="store_true", help="do not check codes, displays and units")
    add(
        "--severity",
        choices=SEVERITIES,
        default="information",
        help="report only findings of this severity or a higher one (default: information)",
    )
    add("--select", metavar="RULE", help="report only this rule; may be repeated", **repeatable)
    add("--ignore", metavar="RULE", help="do not report this rule; may be repeated", **repeatable)
    add(
        "--baseline",
        metavar="FILE",
        help="file of known findings, which are neither reported nor counted",
    )
    add("--write-baseline", action="store_true", help="write all findings to the baseline file")
    add(
        "--max-bytes",
        type=_parse_count,
        metavar="N",
        help="reject a document, or a line of NDJSON, longer than N bytes",
    )


def _add_report_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("report").add_argument
    add("--format", choices=REPORT_FORMATS, default="text", help="report format (default: text)")
    add("--output", "-o", "-output", metavar="FILE", help="write the report to this file")
    for name, title in (("html", "an HTML"), ("sarif", "a SARIF"), ("junit", "a JUnit")):
        add(f"--{name}", metavar="FILE", help=f"also write {title} report to this file")
    add("--show-values", action="store_true", help="show values of the data, not only keys")
    add("--verbose", action="store_true", help="list each finding instead of grouping similar ones")
    add("--stats", action="store_true", help="count the findings of each rule, and show the speed")
    add(
        "--explain",
        metavar="RULE",
        help="explain a rule, with --ig also one of a package; `list` lists all rules",
    )


def _add_action_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument_group("actions").add_argument
    add("--fix", action="store_true", help="fix the findings marked [*] in the files")
    add("--dry-run", action="store_true", help="with --fix: show the changes, write nothing")
    add(
        "--minimal",
        metavar="FILE",
        help="write the smallest resource that shows the most severe finding, without patient data",
    )
    add("--watch", action="store_true", help="validate again whenever a file changes")
    add(
        "--jobs",
        "-j",
        type=_parse_jobs,
        default=1,
        metavar="N",
        help="number of processes; 0: one for each CPU (default: 1)",
    )


def _parse_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _parse_jobs(text: str) -> int:
    return 0 if text == "0" else _parse_count(text)


def _add_input(command: argparse.ArgumentParser, text: str, name: str = "file") -> None:
    """Add the input file and the limit of its size."""
    command.add_argument(name, metavar=name.upper(), help=text)
    command.add_argument(
        "--max-bytes",
        type=_parse_count,
        metavar="N",
        help="reject a document, or a line of NDJSON, longer than N bytes",
    )


def _add_output(
    command: argparse.ArgumentParser,
    text: str,
    file: str = "",
    *,
    default: str | None = None,
    formats: Sequence[str] = ("json", "ndjson", "text"),
) -> None:
    """Add the format and the file of the output."""
    group = command.add_argument_group("output")
    group.add_argument("--format", choices=formats, default=default, help=text)
    group.add_argument(
        "--output",
        "-o",
        metavar="FILE",
        help="write to this file, compressed if it ends in .gz or .bz2"
        + (f"; {file}" if file else ""),
    )
