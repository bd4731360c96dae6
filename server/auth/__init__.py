"""Who may do what: SMART Backend Services.  http://hl7.org/fhir/smart-app-launch/backend-services.html"""
