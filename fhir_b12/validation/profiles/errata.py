"""Corrections of R4's published profiles, as HL7's validator 6.10.4 applies them.

Source: its PackageHackerR5, StructureDefinitionHacker and FHIRPathExpressionFixer (Apache-2.0).
"""

from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE

#: Wrong FHIRPath: as published -> as meant. A collection of several items is no Boolean.
_EXPRESSIONS = {
    "telecom or endpoint": "telecom.exists() or endpoint.exists()",
    "isModifier implies isModifierReason.exists()": (
        "(isModifier.exists() and isModifier) implies isModifierReason.exists()"
    ),
}

_VITAL_SIGNS = f"{STRUCTURE}vitalsigns"
#: a date must have a day
_TO_THE_DAY = "$this is dateTime implies $this.toString().length() >= 10"
_UNITS = "http://hl7.org/fhir/ValueSet/ucum-vitals-common|4.0.1"


def is_vital_sign(url: str, base: object) -> bool:
    """Return True for R4's profile of vital signs and for profiles derived directly from it."""
    return _VITAL_SIGNS in {url, str(base).partition("|")[0]}


def correct_expression(text: str, key: str, *, is_vital_sign: bool) -> str:
    """Return the FHIRPath of a constraint as it is meant."""
    return _TO_THE_DAY if is_vital_sign and key == "vs-1" else _EXPRESSIONS.get(text, text)


def correct_strength(strength: str, value_set: str, path: str, *, is_vital_sign: bool) -> str:
    """Return the strength of a binding as it is meant.

    Components of a vital sign may have other units than the vital signs themselves.
    """
    if is_vital_sign and path == "Observation.component.value[x]" and value_set == _UNITS:
        return "extensible"
    return strength
