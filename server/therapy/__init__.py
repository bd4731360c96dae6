"""Therapy records as plain JSON, and HTML pages: the same data without FHIR.

Errors are problem details, https://www.rfc-editor.org/rfc/rfc9457.
"""

from fhir_b12.server.therapy.openapi import OPERATIONS, ROUTES, openapi_document

__all__ = ["OPERATIONS", "ROUTES", "openapi_document"]
