"""Arguments of the commands that show or publish the tables: `mappings`, `codes`, `convert`,
`schema`, `package`.
"""

from fhir_b12.cli.parser import Commands, add_output, lazy


def add_commands(commands: Commands) -> None:
    """Add the commands to the command line."""
    _add_mappings(commands)
    _add_codes(commands)
    _add_convert(commands)
    _add_schema(commands)
    _add_package(commands)


def _add_mappings(commands: Commands) -> None:
    command = commands.add(
        "mappings",
        lazy("tables.mappings"),
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
    add_output(
        command, "text: a table; json: one document", default="text", formats=("text", "json")
    )


def _add_codes(commands: Commands) -> None:
    command = commands.add(
        "codes",
        lazy("tables.search_codes"),
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
    add_output(command, "text: a table; json: a list; ndjson: one row a line", default="text")


def _add_convert(commands: Commands) -> None:
    command = commands.add(
        "convert",
        lazy("tables.convert"),
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
    add_output(
        command, "text: the value; json: a FHIR Quantity", default="text", formats=("text", "json")
    )


def _add_schema(commands: Commands) -> None:
    command = commands.add(
        "schema",
        lazy("tables.schema"),
        "Write the JSON Schema (draft 2020-12) of a therapy record.",
        "",
        "--output therapy-record.schema.json",
    )
    command.add_argument(
        "--output", "-o", metavar="FILE", help="write to this file instead of standard output"
    )


def _add_package(commands: Commands) -> None:
    command = commands.add(
        "package",
        lazy("package.package"),
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
