"""Parser of the command line: commands with examples, and the arguments that they share."""

import argparse
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from fhir_b12.suggestions import did_you_mean, did_you_mean_or_list

Run = Callable[[argparse.Namespace], int]  #: runs a command and returns its exit code

STDIN_HELP = "- reads standard input; .gz and .bz2 are decompressed"
NDJSON_HELP = f"JSON, or NDJSON (.ndjson, .jsonl) of any length; {STDIN_HELP}"
_EXIT_CODES = """
exit codes:
  0  success
  1  errors in the data, or no result; standard error says which
  2  wrong usage, or a file that cannot be opened
  3  a defect of fhir-b12
"""


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


class Commands:
    """The commands of a parser."""

    def __init__(self, parser: CommandParser) -> None:
        self._subparsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")

    def add(self, name: str, run: Run, text: str, *examples: str) -> CommandParser:
        """Add a command; return its parser, to which arguments can be added.

        Args:
            name: name of the command.
            run: function that runs it.
            text: description; its first sentence is the help of the command in the list.
            examples: arguments of the examples at the end of its `--help`.

        """
        lines = "".join(f"  fhir-b12 {name} {example}".rstrip() + "\n" for example in examples)
        command: CommandParser = self._subparsers.add_parser(
            name,
            help=re.split(r"\.\s", text)[0].rstrip(".").replace("\n", " "),
            description=text,
            epilog=f"examples:\n{lines}{_EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command


def lazy(name: str) -> Run:
    """Return a function that imports a command when it runs, so that start-up is fast.

    Args:
        name: module in `fhir_b12.cli` and function, `mapping.to_fhir`.

    """
    module, _, function = name.partition(".")

    def run(arguments: argparse.Namespace) -> int:
        """Import and run the command."""
        code: int = getattr(import_module(f"fhir_b12.cli.{module}"), function)(arguments)
        return code

    return run


def parse_count(text: str) -> int:
    """Return an argument as a number above 0.

    Raises:
        argparse.ArgumentTypeError: it is not such a number.

    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def add_input(command: argparse.ArgumentParser, text: str, name: str = "file") -> None:
    """Add the input file and the limit of its size."""
    command.add_argument(name, metavar=name.upper(), help=text)
    command.add_argument(
        "--max-bytes",
        type=parse_count,
        metavar="N",
        help="reject a document, or a line of NDJSON, longer than N bytes",
    )


def add_output(
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
