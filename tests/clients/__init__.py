"""Unmodified FHIR clients against a running server: each uses the interactions that an EHR needs."""
