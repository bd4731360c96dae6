"""Profiles compiled into checks.  https://hl7.org/fhir/R4/profiling.html"""
