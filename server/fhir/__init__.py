"""FHIR REST, one file an interaction.  https://hl7.org/fhir/R4/http.html"""
