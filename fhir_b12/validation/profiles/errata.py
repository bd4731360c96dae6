"""What R4's profiles say and do not mean, as HL7's own validator, 6.10.4, reads it.

Facts from its PackageHackerR5, StructureDefinitionHacker and FHIRPathExpressionFixer (Apache-2.0).
"""

from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE

#: Rules whose FHIRPath is wrong: as published -> as meant. More than one item is no Boolean.
_EXPRESSIONS = {
    "telecom or endpoint": "telecom.exists() or endpoint.exists()",
    "isModifier implies isModifierReason.exists()": (
        "(isModifier.exists() and isModifier) implies isModifierReason.exists()"
    ),
}

_VITAL_SIGNS = f"{STRUCTURE}vitalsigns"
#: a date has a day at least
_TO_THE_DAY = "$this is dateTime implies $this.toString().length() >= 10"
_UNITS = "http://hl7.org/fhir/ValueSet/ucum-vitals-common|4.0.1"


def is_vital_sign(url: str, base: object) -> bool:
    """True of R4's profile of vital signs and of what derives from it at first hand."""
    return _VITAL_SIGNS in {url, str(base).partition("|")[0]}


def expression(text: str, key: str, *, vital_sign: bool) -> str:
    """The FHIRPath of a rule as it is meant."""
    return _TO_THE_DAY if vital_sign and key == "vs-1" else _EXPRESSIONS.get(text, text)


def strength(told: str, value_set: str, path: str, *, vital_sign: bool) -> str:
    """The strength of a binding as it is meant.

    Not every part of a vital sign has one of the units that vital signs have.
    """
    if vital_sign and path == "Observation.component.value[x]" and value_set == _UNITS:
        return "extensible"
    return told
