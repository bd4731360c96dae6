"""The resource types of the server, whatever the settings.  https://hl7.org/fhir/R4/resourcelist.html"""

from fhir_b12 import data
from fhir_b12.records.registry import TABLES

#: types that no record has, to which the resources of records refer
_REFERENCED = (
    "Device", "DiagnosticReport", "Group", "Location", "Organization", "Practitioner",
    "PractitionerRole", "Provenance", "Specimen",
)  # fmt: skip

#: stored here as written: the types of the mapping tables, and those they refer to
TYPES = tuple(sorted({*_REFERENCED, *(data.toml(f"{name}.toml")["resource"] for name in TABLES)}))

#: stored here, written by the server alone
READ_ONLY = ("AuditEvent",)

#: not stored: definitions that ship with the library
SHIPPED = (
    "CapabilityStatement", "CodeSystem", "ConceptMap", "OperationDefinition", "SearchParameter",
    "StructureDefinition", "ValueSet",
)  # fmt: skip

#: types that a store may contain
STORED = (*TYPES, *READ_ONLY)
