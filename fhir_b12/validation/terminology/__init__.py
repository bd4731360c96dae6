"""Code systems, value sets and bindings, decided offline.  https://hl7.org/fhir/R4/terminologies.html"""
