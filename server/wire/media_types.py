"""Media types, and the check of a Content-Type.  https://hl7.org/fhir/R4/http.html#mime-type"""

from collections.abc import Iterable
from functools import lru_cache

from flask import Request

from fhir_b12.server.errors import RequestError

FHIR_JSON = "application/fhir+json"
PATCH_JSON = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"
#: FHIR's own, plain JSON, and what versions before R4 used
JSON = frozenset({FHIR_JSON, "application/json", "application/json+fhir", "text/json"})
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})


def require_media_type(request: Request, allowed: Iterable[str]) -> None:
    """Check the media type and charset of a request's body.

    Raises:
        RequestError: 415 if Content-Type is missing, not one of `allowed`, or of another charset.

    """
    content_type = request.environ.get("CONTENT_TYPE", "")
    if (fault := _content_type_fault(content_type, frozenset(allowed))) is not None:
        raise RequestError(415, "not-supported", fault)


@lru_cache(maxsize=256)
def _content_type_fault(content_type: str, allowed: frozenset[str]) -> str | None:
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    expected = min(allowed)
    if not media_type:
        return f"Content-Type is missing: send {expected}"
    if media_type not in allowed:
        return f"Content-Type is not supported by this interaction: send {expected}"
    charsets = [part[8:].strip(' "') for part in parameters if part.startswith("charset=")]
    if any(charset not in _UTF8 for charset in charsets):
        return "the charset of Content-Type is not supported: send utf-8"
    return None
