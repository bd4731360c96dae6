"""The version of what is installed; reading it takes longer than a small validation."""

import argparse
from importlib import import_module
from typing import Any


def version() -> str:
    """`0.1.0`"""
    said: str = import_module("importlib.metadata").version("fhir-b12")
    return said


class Show(argparse.Action):
    """`--version`, which looks for the version only when it is asked for."""

    def __init__(self, option_strings: list[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Say it and end."""
        print(f"fhir-b12 {version()}")  # noqa: T201 - this is the command's answer
        parser.exit()
