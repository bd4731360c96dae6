"""Validate FHIR R4 data: report every fault with its location and a remedy.

https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fhir_b12.definitions.packages import Package
from fhir_b12.validation.report import Report
from fhir_b12.validation.validator import Validator

__all__ = ["Report", "Validator", "validate"]


def validate(
    data: Any,
    *,
    profiles: Iterable[str] = (),
    packages: Iterable[Package | str | Path] = (),
    positions: bool = False,
    plausibility: bool = True,
    terminology: bool = True,
    show_values: bool = False,
) -> Report:
    """Validate one resource or Bundle and return a report of all faults.

    To validate more than once, build one `Validator` and reuse it: it compiles profiles once.

    Args:
        data: A resource as a dict, or its JSON text as str or bytes.
        profiles: Canonical urls of profiles to check besides those that the data declares.
        packages: FHIR packages to load: opened ones, the path of a `.tgz` or folder, or
            `name#version`.
        positions: Add line and column to each issue; only a JSON text has them.
        plausibility: Add advice on clinical values that are probably mistakes.
        terminology: Check codes, displays and units.
        show_values: Name the offending values in messages. They may identify a patient.

    Returns:
        The report. Invalid data is never an exception.

    Raises:
        PackageError: A package cannot be opened.
        ValueError: A profile is unknown.
        TableError: A file that ships with the library is broken.

    """
    validator = Validator(
        profiles,
        packages,
        plausibility=plausibility,
        terminology=terminology,
        show_values=show_values,
    )
    return validator.validate(data, positions=positions)
