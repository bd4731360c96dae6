"""Vitamin B12 infusion therapy records to and from HL7 FHIR R4, losing nothing.

    from fhir_b12 import from_bundle, loads
    reading = from_bundle(loads(open("bundle.json", "rb").read()))

Names are imported on first use. `__version__` is the version of the installed package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from fhir_b12.bundles import BundleReading, by_type, from_bundle, to_bundle, update_bundle
    from fhir_b12.explanation import explain
    from fhir_b12.issues import Issue, outcome
    from fhir_b12.jsonio import JsonError, dumps, loads
    from fhir_b12.mapping.ledger import Ledger
    from fhir_b12.mapping.lens import MappingError, Reading, from_fhir, to_fhir, update
    from fhir_b12.models import as_model, as_resource
    from fhir_b12.plain import from_plain, to_plain
    from fhir_b12.records import TherapyRecord
    from fhir_b12.units import convert, convert_range, convert_result
    from fhir_b12.validation import Report, Validator, validate

_HOMES = {
    "fhir_b12.bundles": (
        "BundleReading", "by_type", "from_bundle", "to_bundle", "update_bundle",
    ),
    "fhir_b12.explanation": ("explain",),
    "fhir_b12.issues": ("Issue", "outcome"),
    "fhir_b12.jsonio": ("JsonError", "dumps", "loads"),
    "fhir_b12.mapping.ledger": ("Ledger",),
    "fhir_b12.mapping.lens": ("MappingError", "Reading", "from_fhir", "to_fhir", "update"),
    "fhir_b12.models": ("as_model", "as_resource"),
    "fhir_b12.plain": ("from_plain", "to_plain"),
    "fhir_b12.records": ("TherapyRecord",),
    "fhir_b12.units": ("convert", "convert_range", "convert_result"),
    "fhir_b12.validation": ("Report", "Validator", "validate"),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BundleReading",
    "Issue",
    "JsonError",
    "Ledger",
    "MappingError",
    "Reading",
    "Report",
    "TherapyRecord",
    "Validator",
    "as_model",
    "as_resource",
    "by_type",
    "convert",
    "convert_range",
    "convert_result",
    "dumps",
    "explain",
    "from_bundle",
    "from_fhir",
    "from_plain",
    "loads",
    "outcome",
    "to_bundle",
    "to_fhir",
    "to_plain",
    "update",
    "update_bundle",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("fhir-b12")
    if name not in _HOME:
        raise AttributeError(f"module 'fhir_b12' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
