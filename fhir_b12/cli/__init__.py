"""The command line, `fhir-b12`: what people ask for, and how it is shown to them."""

from fhir_b12.cli.commands import main, parser

__all__ = ["main", "parser"]
