"""The command line `fhir-b12 COMMAND`, and the exit code of every failure."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from fhir_b12.cli import mapping_arguments, server, tables_arguments, validate_arguments
from fhir_b12.cli.parser import CommandParser, Commands
from fhir_b12.cli.streams import IssuePrinter, UsageError
from fhir_b12.cli.version import VersionAction
from fhir_b12.data import TableError


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
    commands = Commands(parser)
    for module in (mapping_arguments, tables_arguments, validate_arguments, server):
        module.add_commands(commands)
    return parser
