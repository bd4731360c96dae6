"""Options of HL7's validator: those supported here, and those accepted and ignored with a note.

https://confluence.hl7.org/display/FHIR/Using+the+FHIR+Validator
"""

import argparse
from argparse import Namespace
from collections.abc import Iterator

from fhir_b12.cli.streams import UsageError

_R4 = {"4.0", "4.0.0", "4.0.1", "R4"}
_SEVERITIES = {"hints": "information", "warnings": "warning", "errors": "error"}
#: Ignored options with a value, and why.
_IGNORED_WITH_VALUE = (
    ("-tx", "no terminology server is used; codes that need one are reported as not checked"),
    ("-txCache", "no terminology server is used"),
    ("-locale", "messages are in English"),
    ("-jurisdiction", "no jurisdiction is assumed"),
    ("-best-practice", "best practices are reported as warnings"),
    ("-sct", "no SNOMED CT edition is included"),
    ("-extension", "an unknown extension is an error only if it is a modifier"),
    ("-language", "messages are in English"),
)
#: Ignored options without a value, and why.
_IGNORED_FLAGS = (
    ("-recurse", "folders are always searched recursively"),
    ("-native", "only JSON is supported"),
    ("-hintAboutNonMustSupport", "elements without mustSupport are not reported"),
    ("-assumeValidRestReferences", "references are never looked up on a server"),
    ("-allow-example-urls", "example URLs are always allowed"),
)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options to a command; `--help` does not list them."""
    hidden = argparse.SUPPRESS
    command.add_argument("-version", dest="fhir_version", metavar="VERSION", help=hidden)
    command.add_argument("-level", dest="level", choices=tuple(_SEVERITIES), help=hidden)
    for option, _ in _IGNORED_WITH_VALUE:
        command.add_argument(option, dest=f"hl7{option}", metavar="VALUE", help=hidden)
    for option, _ in _IGNORED_FLAGS:
        command.add_argument(option, dest=f"hl7{option}", action="store_true", help=hidden)


def apply_options(arguments: Namespace) -> None:
    """Translate the supported options to our own.

    Raises:
        UsageError: a FHIR version other than R4 was requested.

    """
    version = arguments.fhir_version
    if version is not None and version not in _R4:
        raise UsageError(f"-version {version} is not supported: only FHIR R4 (4.0.1) is validated")
    if arguments.level is not None:
        arguments.severity = _SEVERITIES[arguments.level]


def ignored_notes(arguments: Namespace) -> Iterator[str]:
    """Yield a note for each option that was given and is ignored."""
    for option, reason in (*_IGNORED_WITH_VALUE, *_IGNORED_FLAGS):
        if getattr(arguments, f"hl7{option}") and getattr(arguments, f"hl7{option}") != "n/a":
            yield f"note: {option} is ignored: {reason}"
