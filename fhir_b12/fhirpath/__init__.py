"""FHIRPath for constraints, slices and searches.  http://hl7.org/fhirpath/N1/"""
