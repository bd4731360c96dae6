"""Arguments of the commands that convert records: `demo`, `to-fhir`, `from-fhir`, `update`, and of
those that explain a conversion: `explain`, `ledger`.
"""

from fhir_b12.cli.parser import (
    NDJSON_HELP,
    STDIN_HELP,
    Commands,
    add_input,
    add_output,
    lazy,
)


def add_commands(commands: Commands) -> None:
    """Add the commands to the command line."""
    _add_demo(commands)
    _add_to_fhir(commands)
    _add_from_fhir(commands)
    _add_update(commands)
    _add_explain(commands)
    _add_ledger(commands)


def _add_demo(commands: Commands) -> None:
    command = commands.add(
        "demo",
        lazy("demo.run"),
        "Convert a sample therapy record to FHIR and back, and check every step. Then do the same\n"
        "with a Bundle of another system.",
        "",
        "bundle.json",
        "--save try",
    )
    command.add_argument("input", nargs="?", metavar="BUNDLE", help=f"a FHIR Bundle; {STDIN_HELP}")
    command.add_argument(
        "--save", metavar="FOLDER", help="write course.json and bundle.json to this folder"
    )


def _add_to_fhir(commands: Commands) -> None:
    command = commands.add(
        "to-fhir",
        lazy("mapping.to_fhir"),
        "Convert therapy records to FHIR resources. By default the output is a transaction Bundle\n"
        "that changes nothing when it is sent again. If a record has errors, all of them are\n"
        "listed and nothing is written.",
        "course.json",
        "course.json --type collection --output bundle.json",
        "course.json --format ndjson --output folder",
        "records.ndjson --output resources.ndjson",
    )
    add_input(command, f"a therapy record (see `schema`) or a list of records; {NDJSON_HELP}")
    command.add_argument(
        "--type",
        choices=("transaction", "collection", "list"),
        help="type of the Bundle, or `list` for a plain list of resources (default: transaction)",
    )
    add_output(
        command,
        "json: one document; ndjson: one resource a line; text: a table of the entries",
        "with ndjson, a name without .ndjson or .jsonl is a folder: one file for each type",
    )


def _add_from_fhir(commands: Commands) -> None:
    command = commands.add(
        "from-fhir",
        lazy("mapping.from_fhir"),
        "Convert FHIR resources to therapy records, one for each patient. What can be read is\n"
        "written, errors are listed, and resources that no mapping table reads are counted.",
        "bundle.json",
        "bundle.json --format text",
        "resources.ndjson --output records.ndjson",
    )
    add_input(command, f"a Bundle of any type, a resource or a list of resources; {NDJSON_HELP}")
    add_output(
        command,
        'json: one document; ndjson: one record a line, {"kind": "LabResult", ...}; text: a table',
    )


def _add_update(commands: Commands) -> None:
    command = commands.add(
        "update",
        lazy("mapping.update"),
        "Update a Bundle with changed records. Only elements that the records change are changed;\n"
        "everything else is preserved, digit for digit.",
        "bundle.json course.json --output changed.json",
        "bundle.json course.json --format text",
    )
    command.add_argument("bundle", metavar="BUNDLE", help=f"a Bundle or one resource; {STDIN_HELP}")
    add_input(command, "therapy records as `from-fhir` writes them, with changes", "records")
    add_output(
        command, "json: the updated Bundle; text: the changed paths", formats=("json", "text")
    )


def _add_explain(commands: Commands) -> None:
    command = commands.add(
        "explain",
        lazy("explain.explain"),
        "Show for each element of a resource the mapping table and row that read it, the record\n"
        "field, codec, code table and key; or why it is in no record.",
        "bundle.json",
        "bundle.json --format json --output explained.json",
    )
    add_input(command, f"a Bundle, a resource or a list of resources; {NDJSON_HELP}")
    add_output(command, "text: a table; json: a list; ndjson: one element a line", default="text")


def _add_ledger(commands: Commands) -> None:
    command = commands.add(
        "ledger",
        lazy("explain.ledger"),
        "Count where the values of a resource went: mapped, constant, derived, or residue with\n"
        "the reason.",
        "bundle.json",
        "bundle.json --all",
        "resources.ndjson --format json",
    )
    add_input(command, f"a Bundle, a resource or a list of resources; {NDJSON_HELP}")
    command.add_argument("--all", action="store_true", help="list every value instead of totals")
    add_output(
        command,
        "text: a table; json: one document; ndjson: with --all, one value a line",
        default="text",
    )
