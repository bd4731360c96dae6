"""Tables as two-way lenses between records and FHIR resources."""
