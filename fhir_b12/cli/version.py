"""Version of the installed package, read only when needed: reading it takes milliseconds."""

import argparse
from typing import Any

import fhir_b12


def version() -> str:
    """Return the installed version, e.g. `0.1.0`."""
    text: str = fhir_b12.__version__
    return text


class VersionAction(argparse.Action):
    """Argument `--version`: prints the version and exits."""

    def __init__(self, option_strings: list[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print the version and exit."""
        print(f"fhir-b12 {version()}")  # noqa: T201 - the output of the command
        parser.exit()
