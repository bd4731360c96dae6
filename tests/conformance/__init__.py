"""Agreement with HL7's reference validator."""
