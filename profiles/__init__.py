"""FHIR profiles of the records."""
