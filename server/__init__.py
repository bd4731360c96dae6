"""FHIR server for therapy data, installed as `fhir_b12.server`."""
