"""The resource types served, whatever the settings.  https://hl7.org/fhir/R4/resourcelist.html"""

#: kept here, as they were written
TYPES = (
    "AdverseEvent", "Appointment", "Condition", "Device", "DiagnosticReport", "Encounter", "Group",
    "Location", "Medication", "MedicationAdministration", "MedicationRequest",
    "MedicationStatement", "Observation", "Organization", "Patient", "Practitioner",
    "PractitionerRole", "Procedure", "Provenance", "ServiceRequest", "Specimen",
)  # fmt: skip

#: kept here, written by the server alone
READ_ONLY = ("AuditEvent",)

#: not kept: definitions that ship with the library
SHIPPED = (
    "CapabilityStatement", "CodeSystem", "ConceptMap", "OperationDefinition", "SearchParameter",
    "StructureDefinition", "ValueSet",
)  # fmt: skip

#: what a store may hold
STORED = (*TYPES, *READ_ONLY)
