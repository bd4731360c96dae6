"""Profiles compiled into checks.  https://hl7.org/fhir/R4/profiling.html

The snapshot of a profile is compiled on first use into the rules that it adds to R4; R4's own rules
are checked elsewhere.
"""
