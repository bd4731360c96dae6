"""Points in time: microseconds since 1970 in Python, texts in FHIR and HTTP."""

from datetime import UTC, datetime
from functools import lru_cache

from werkzeug.http import http_date

from fhir_b12.dates import DateTime
from fhir_b12.server.errors import RequestError

_EPOCH = DateTime("1970-01-01T00:00:00Z").interval[0]


def parse_timestamp(text: str, parameter: str) -> int:
    """Return the µs since 1970 at which a FHIR dateTime begins.

    An unencoded `+` of an offset arrives as a space and is accepted.

    Raises:
        RequestError: 400 if the value of `parameter` is not a dateTime.

    """
    try:
        begin, _ = DateTime(text.replace(" ", "+")).interval
    except ValueError as error:
        message = f"{parameter} is not a dateTime: write it as 2026-03-09T09:15:00Z"
        raise RequestError(400, "value", message) from error
    return int((begin - _EPOCH) * 1_000_000)


@lru_cache(maxsize=1024)
def format_instant(microseconds: int) -> str:
    """Format µs since 1970 as a FHIR instant.  https://hl7.org/fhir/R4/datatypes.html#instant"""
    moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{microseconds // 1000 % 1000:03d}Z"


@lru_cache(maxsize=1024)
def format_http_date(seconds: int) -> str:
    """Format seconds since 1970 as an HTTP date."""
    return http_date(seconds)
