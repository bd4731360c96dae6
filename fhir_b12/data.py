"""Where the files that ship with the library lie; no other file knows."""

import tomllib
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any


class TableError(ValueError):
    """A table with slips; the message lists all of them with file, key and remedy."""


def mappings() -> Traversable:
    """The folder of mapping tables, `mappings/` in a checkout."""
    return files("fhir_b12.mappings")


def definitions() -> Traversable:
    """The folder of distilled R4 definitions."""
    return files("fhir_b12.definitions")


def profiles() -> Traversable:
    """The folder of our profiles, `profiles/` in a checkout."""
    return files("fhir_b12.profiles")


def reports() -> Traversable:
    """The folder of what the HTML report is made with, and of the schema of the JSON report."""
    return files("fhir_b12.reports")


def rules() -> list[tuple[str, str]]:
    """The stage and the text of each file of the validator's rules."""
    folder = files("fhir_b12.validation.rules")
    found = sorted((each for each in folder.iterdir()), key=lambda each: each.name)
    return [
        (each.name.removesuffix(".toml"), each.read_text("utf-8"))
        for each in found
        if each.name.endswith(".toml")
    ]


@cache
def invariant_words() -> dict[str, str]:
    """R4's invariants by key, in plainer words than R4's."""
    text = files("fhir_b12.validation.invariants").joinpath("words.toml").read_text("utf-8")
    return tomllib.loads(text)


def read(folder: Traversable, name: str) -> bytes:
    """The bytes of one file.

    Raises:
        FileNotFoundError: the file does not ship with the library.

    """
    return folder.joinpath(name).read_bytes()


@cache
def toml(name: str) -> dict[str, Any]:
    """A TOML file of `mappings/`, e.g. `codes/lab_tests.toml`; its numbers are Decimals.

    Raises:
        FileNotFoundError: there is no such file.
        TableError: the file is not TOML; the message names file, line and column.

    """
    try:
        return tomllib.loads(read(mappings(), name).decode("utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TableError(f"{name}: {error}") from error
