"""ETags and dates of conditional requests.  https://hl7.org/fhir/R4/http.html#concurrency"""

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from fhir_b12.server.errors import RequestError
from fhir_b12.server.wire.conditional_headers import (
    format_etag,
    is_modified,
    matches_version,
    parse_if_match,
)

SECOND = 1_000_000
UPDATED = 1_767_225_600 * SECOND + 999_999  # 2026-01-01T00:00:00.999999Z


@pytest.mark.parametrize(
    ("header", "version_id"),
    [
        (None, None), ("", None), (" ", None), ("*", None), ('W/"3"', 3), ('"3"', 3), ("3", 3),
        (' W/"3" ', 3), ('"0"', 0),
    ],
)  # fmt: skip
def test_if_match_is_accepted_in_three_spellings(header, version_id):
    assert parse_if_match(header) == version_id


@pytest.mark.parametrize("header", ["x", '"x"', 'W/"3', '3"', '"3" "4"', "W/", '"1", "2"', "é"])
def test_an_if_match_that_is_no_etag_is_412(header):
    with pytest.raises(RequestError) as raised:
        parse_if_match(header)
    assert (raised.value.status, raised.value.issues[0].code) == (412, "conflict")


@pytest.mark.parametrize(
    ("header", "is_match"),
    [
        ("*", True), ('W/"3"', True), ('"3"', True), ("3", True), ('"1", W/"3"', True),
        ('"1"', False), ('"33"', False), ("", False), ('"1","2"', False), ('"1", *', True),
    ],
)  # fmt: skip
def test_if_none_match_lists_etags(header, is_match):
    assert matches_version(header, 3) is is_match


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, True),
        ({"If-None-Match": format_etag(3)}, False),
        ({"If-None-Match": format_etag(2)}, True),
        ({"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}, False),
        ({"If-Modified-Since": "Wed, 31 Dec 2025 23:59:59 GMT"}, True),
        ({"If-Modified-Since": "yesterday"}, True),
        (
            {"If-None-Match": format_etag(2), "If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"},
            True,
        ),
        (
            {"If-None-Match": format_etag(3), "If-Modified-Since": "Wed, 31 Dec 2025 23:59:59 GMT"},
            False,
        ),
    ],
)
def test_a_read_is_304_if_the_client_has_the_version(headers, expected):
    request = Request(EnvironBuilder(headers=headers).get_environ())
    assert is_modified(request, 3, UPDATED) is expected
