"""Codes, value sets and code systems.  https://hl7.org/fhir/R4/terminologies.html"""
