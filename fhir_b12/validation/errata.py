"""What R4's profiles say and do not mean, as HL7's own validator, 6.10.4, reads it.

Facts from its PackageHackerR5, StructureDefinitionHacker and FHIRPathExpressionFixer (Apache-2.0).
"""

from fhir_b12.validation.snapshots import STRUCTURE

#: Rules whose FHIRPath is wrong: as published -> as meant. More than one item is no Boolean.
_EXPRESSIONS = {
    "telecom or endpoint": "telecom.exists() or endpoint.exists()",
    "isModifier implies isModifierReason.exists()": (
        "(isModifier.exists() and isModifier) implies isModifierReason.exists()"
    ),
}
#: of vital signs: a date has a day at least
_TO_THE_DAY = "$this is dateTime implies $this.toString().length() >= 10"

_UNITS = f"{STRUCTURE.replace('StructureDefinition', 'ValueSet')}ucum-vitals-common|4.0.1"


def expression(text: str, key: str, source: str) -> str:
    """The FHIRPath of a rule as it is meant."""
    if key == "vs-1" and source.startswith(STRUCTURE):
        return _TO_THE_DAY
    return _EXPRESSIONS.get(text, text)


def strength(told: str, value_set: str, path: str) -> str:
    """The strength of a binding as it is meant.

    That of R4's vital signs to its units was meant for the parts of a blood pressure; other parts
    have other units.
    """
    if path == "Observation.component.value[x]" and value_set == _UNITS:
        return "extensible"
    return told
