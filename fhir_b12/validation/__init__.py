"""Say everything that is wrong with FHIR R4 data, and where.  https://hl7.org/fhir/R4/validation.html"""

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
    """Everything that is wrong with a resource or a Bundle, given as a dict or as JSON text.

    `positions` asks for lines and columns, which only a text has. Who validates more than once
    holds on to a `Validator`.
    """
    validator = Validator(
        profiles,
        packages,
        plausibility=plausibility,
        terminology=terminology,
        show_values=show_values,
    )
    return validator.validate(data, positions=positions)
