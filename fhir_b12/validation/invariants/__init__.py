"""R4's invariants as functions named by their key.  https://hl7.org/fhir/R4/conformance-rules.html#constraints"""
