"""Arguments of the command `validate`."""

import argparse
from typing import Any

from fhir_b12.cli import hl7_options
from fhir_b12.cli.parser import STDIN_HELP, Commands, lazy, parse_count
from fhir_b12.issues import SEVERITIES

#: The names of `fhir_b12.reports.FORMATS`, which is slow to import.
REPORT_FORMATS = ("text", "concise", "json", "ndjson", "outcome", "sarif", "junit", "html")


def add_commands(commands: Commands) -> None:
    """Add the command to the command line."""
    command = commands.add(
        "validate",
        lazy("validate.run"),
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
        help=f"a resource, a Bundle, NDJSON, or a folder of such files; {STDIN_HELP}",
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
        type=parse_count,
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


def _parse_jobs(text: str) -> int:
    return 0 if text == "0" else parse_count(text)
