"""Plain records beside FHIR, and pages to look at: the same data for who does not speak it.

Faults are problem details, https://www.rfc-editor.org/rfc/rfc9457.
"""

from fhir_b12.server.therapy.openapi import PATHS, document, openapi, page

__all__ = ["PATHS", "document", "openapi", "page"]
