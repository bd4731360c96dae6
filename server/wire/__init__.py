"""HTTP requests parsed and responses formatted.  https://hl7.org/fhir/R4/http.html"""
