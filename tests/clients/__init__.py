"""Unmodified FHIR clients against a running server: each does what an EHR does."""
