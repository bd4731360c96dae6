"""Command line interface, `fhir-b12`."""

from fhir_b12.cli.commands import build_parser, main

__all__ = ["build_parser", "main"]
