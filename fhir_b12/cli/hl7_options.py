"""The options of HL7's own validator: those that are the same here, and those that are passed over.

https://confluence.hl7.org/display/FHIR/Using+the+FHIR+Validator
"""

import argparse
from argparse import Namespace
from collections.abc import Iterator

from fhir_b12.cli.streams import UsageError

_R4 = {"4.0", "4.0.0", "4.0.1", "R4"}
_LEVELS = {"hints": "information", "warnings": "warning", "errors": "error"}
#: Option, what takes its value, and what is said of it.
_PASSED_OVER = (
    ("-tx", "no terminology server is ever asked; what needs one is said to be unchecked"),
    ("-txCache", "no terminology server is ever asked"),
    ("-locale", "messages are in English"),
    ("-jurisdiction", "no jurisdiction is assumed"),
    ("-best-practice", "best practice is told as a warning"),
    ("-sct", "no edition of SNOMED CT is known here"),
    ("-extension", "an unknown extension is no error unless it is a modifier"),
    ("-language", "messages are in English"),
)
_BARE = (
    ("-recurse", "folders are always walked"),
    ("-native", "JSON alone is read"),
    ("-hintAboutNonMustSupport", "elements that are not mustSupport are no matter here"),
    ("-assumeValidRestReferences", "references are never looked up on a server"),
    ("-allow-example-urls", "example URLs are no error"),
)


def add(command: argparse.ArgumentParser) -> None:
    """Understand the options; they are not in `--help`."""
    hidden = argparse.SUPPRESS
    command.add_argument("-version", dest="fhir_version", metavar="VERSION", help=hidden)
    command.add_argument("-level", dest="level", choices=tuple(_LEVELS), help=hidden)
    for option, _ in _PASSED_OVER:
        command.add_argument(option, dest=f"hl7{option}", metavar="VALUE", help=hidden)
    for option, _ in _BARE:
        command.add_argument(option, dest=f"hl7{option}", action="store_true", help=hidden)


def settle(arguments: Namespace) -> None:
    """Take over what has the same meaning here.

    Raises:
        UsageError: another version of FHIR is asked for.

    """
    if arguments.fhir_version is not None and arguments.fhir_version not in _R4:
        raise UsageError(f"-version {arguments.fhir_version}: only FHIR R4, 4.0.1, is validated")
    if arguments.level is not None:
        arguments.severity = _LEVELS[arguments.level]


def notes(arguments: Namespace) -> Iterator[str]:
    """A line for each option that changes nothing here."""
    for option, why in (*_PASSED_OVER, *_BARE):
        if getattr(arguments, f"hl7{option}") and getattr(arguments, f"hl7{option}") != "n/a":
            yield f"note: {option} changes nothing: {why}"
