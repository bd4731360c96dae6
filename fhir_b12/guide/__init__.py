"""Our profiles, and the guide of which they are part.  https://hl7.org/fhir/R4/profiling.html

Profiles are files in `profiles/`; value sets, code systems and concept maps are made from the code
tables, examples from the demo's record. Version and date are the guide's own: there is no clock.
"""

from fhir_b12.guide.definitions import profiles, terminology

__all__ = ["profiles", "terminology"]
