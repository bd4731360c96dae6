"""FHIR R4 and vitamin B12 infusion therapy."""
