"""Say everything that is wrong with FHIR R4 data, and where.  https://hl7.org/fhir/R4/validation.html"""
