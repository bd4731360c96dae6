"""A store in front of another FHIR server."""
