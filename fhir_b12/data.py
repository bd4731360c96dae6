"""Locations of the files that ship with the library; no other module knows them."""

import tomllib
from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple


class TableFault(NamedTuple):
    """One fault in a table: file, row, key within the row, and what to write instead."""

    file: str  #: path below `mappings/`, e.g. `codes/lab_tests.toml`
    row: str  #: name of the row; "" for a fault of the whole file
    key: str  #: key within the row, e.g. `codings[0].code`; "" for a fault of the whole row
    message: str  #: what is wrong, and the remedy

    def __str__(self) -> str:
        """`codes/lab_tests.toml: ferritin.unit: not a UCUM unit ...`"""
        row = f'"{self.row}"' if "." in self.row and self.key else self.row
        where = ".".join(filter(None, (row, self.key)))
        return ": ".join(filter(None, (self.file, where, self.message)))


class TableError(ValueError):
    """A table with faults; `faults` lists all of them, the message has a line for each.

    Args:
        faults: the faults, or a message with one fault a line, each `FILE: ROW: MESSAGE`.

    """

    def __init__(self, faults: Iterable[TableFault] | str) -> None:
        if isinstance(faults, str):
            faults = [_parse_fault(line) for line in faults.splitlines()]
        self.faults: tuple[TableFault, ...] = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def _parse_fault(line: str) -> TableFault:
    file, _, rest = line.partition(": ")
    row, separator, message = rest.partition(": ")
    return TableFault(file, row, "", message) if separator else TableFault(file, "", "", rest)


def mappings() -> Traversable:
    """Return the folder of the mapping tables, `mappings/` in a checkout."""
    return files("fhir_b12.mappings")


def definitions() -> Traversable:
    """Return the folder of the distilled R4 definitions."""
    return files("fhir_b12.definitions")


def profiles() -> Traversable:
    """Return the folder of the project's own profiles, `profiles/` in a checkout."""
    return files("fhir_b12.profiles")


def reports() -> Traversable:
    """Return the folder with the template of the HTML report and the schema of the JSON report."""
    return files("fhir_b12.reports")


def rules() -> list[tuple[str, str]]:
    """Return stage and text of each file of validation rules, sorted by stage."""
    folder = files("fhir_b12.validation.rules")
    return [
        (file.name.removesuffix(".toml"), file.read_text("utf-8"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".toml")
    ]


@cache
def invariant_messages() -> dict[str, str]:
    """Return the messages of R4's invariants by key, e.g. `obs-6`."""
    text = files("fhir_b12.validation.invariants").joinpath("messages.toml").read_text("utf-8")
    return tomllib.loads(text)


def read(folder: Traversable, name: str) -> bytes:
    """Return the bytes of one file.

    Raises:
        FileNotFoundError: the file does not ship with the library.

    """
    return folder.joinpath(name).read_bytes()


@cache
def toml(name: str) -> dict[str, Any]:
    """Return a parsed TOML file of `mappings/`, with its numbers as Decimals.

    Args:
        name: path below `mappings/`, e.g. `codes/lab_tests.toml`.

    Raises:
        FileNotFoundError: the file does not exist.
        TableError: the file is not TOML; the message names file, line and column.

    """
    try:
        return tomllib.loads(read(mappings(), name).decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError([TableFault(name, "", "", str(error))]) from error
