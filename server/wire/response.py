"""Responses in FHIR JSON."""

from typing import Any

from flask import Response
from werkzeug.datastructures import Headers

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.wire.media_types import FHIR_JSON
from fhir_b12.server.wire.result_format import DEFAULT, ResultFormat

_CONTENT_TYPE = f"{FHIR_JSON}; charset=utf-8"


class JsonResponse(Response):
    """Response whose default media type is FHIR JSON."""

    default_mimetype = FHIR_JSON

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """Return the headers unchanged: length and absolute URLs are already set."""
        if self.status_code in {204, 304}:  # these have no length
            return super().get_wsgi_headers(environ)
        return self.headers


def json_response(
    value: bytes | dict[str, Any],
    status: int = 200,
    headers: dict[str, str] | None = None,
    result_format: ResultFormat = DEFAULT,
) -> JsonResponse:
    """Build a response of a JSON value; bytes are sent as they are, unless indented."""
    text = dumps(value) if isinstance(value, dict) else value
    if result_format.pretty and text:
        text = dumps(loads(text), indent=2)
    return JsonResponse(text, status, {"Content-Type": _CONTENT_TYPE} | (headers or {}))
