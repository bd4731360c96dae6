"""Authorization by SMART Backend Services, and audit.  http://hl7.org/fhir/smart-app-launch/backend-services.html"""
