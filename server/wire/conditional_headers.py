"""If-Match, If-None-Match, If-Modified-Since, ETag.  https://hl7.org/fhir/R4/http.html#concurrency"""

import re

from flask import Request
from werkzeug.http import parse_date

from fhir_b12.server.errors import RequestError

_ETAG = re.compile(r'\s*(?:W/)?("?)([A-Za-z0-9\-.]{1,64})\1\s*\Z')


def format_etag(version_id: int) -> str:
    """Format a version id as a weak ETag, `W/"3"`."""
    return f'W/"{version_id}"'


def parse_if_match(header: str | None) -> int | None:
    """Return the version id in an If-Match: `W/"3"`, `"3"` or `3`; None if missing or `*`.

    Raises:
        RequestError: 412 if it is not the ETag of a version of this server.

    """
    if header is None or header.strip() in {"", "*"}:
        return None
    match = _ETAG.match(header)
    if match is None or not match[2].isdecimal():
        message = 'If-Match is not an ETag of this server: send the one you read, W/"3"'
        raise RequestError(412, "conflict", message)
    return int(match[2][:18])


def matches_version(header: str, version_id: int) -> bool:
    """Return True if an If-None-Match names a version, in any of the three spellings, or is `*`."""
    for part in header.split(","):
        match = _ETAG.match(part)
        if part.strip() == "*" or (match is not None and match[2] == str(version_id)):
            return True
    return False


def is_modified(request: Request, version_id: int, updated: int) -> bool:
    """Return False if the client has this version.  https://hl7.org/fhir/R4/http.html#cread

    `updated` is in µs since 1970. If-None-Match has precedence over If-Modified-Since.
    """
    environ = request.environ
    if (if_none_match := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        return not matches_version(if_none_match, version_id)
    if (if_modified_since := environ.get("HTTP_IF_MODIFIED_SINCE")) is not None:
        moment = parse_date(if_modified_since)
        return moment is None or updated // 1_000_000 > moment.timestamp()
    return True
