"""Search: parameters, indexes, SQL.  https://hl7.org/fhir/R4/search.html"""
