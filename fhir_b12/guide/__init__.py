"""The implementation guide of this project.  https://hl7.org/fhir/R4/implementationguide.html

Profiles are files in `profiles/`; value sets, code systems and concept maps are generated from the
code tables, examples from the demo's record. Version and date are in `profiles/guide.toml`, so the
output does not depend on the clock.
"""

from fhir_b12.guide.definitions import profiles, terminology

__all__ = ["profiles", "terminology"]
