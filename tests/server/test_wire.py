"""Client address, instants and ids."""

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from fhir_b12.server.config import Config
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.request_origin import client_address
from fhir_b12.server.wire.timestamps import format_instant


@pytest.mark.parametrize(
    ("proxies", "header", "sender"),
    [
        ((), "1.1.1.1", "10.0.0.1"),
        (("10.0.0.2",), "1.1.1.1", "10.0.0.1"),
        (("10.0.0.1",), "1.1.1.1", "1.1.1.1"),
        (("10.0.0.1",), "9.9.9.9, 1.1.1.1", "1.1.1.1"),
        (("10.0.0.1", "10.0.0.2"), "9.9.9.9, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (("10.0.0.1",), "", "10.0.0.1"),
        (("10.0.0.1",), " , ,", "10.0.0.1"),
    ],
)
def test_a_forwarded_address_is_trusted_from_configured_proxies_only(proxies, header, sender):
    builder = EnvironBuilder(
        headers={"X-Forwarded-For": header}, environ_base={"REMOTE_ADDR": "10.0.0.1"}
    )
    assert client_address(Request(builder.get_environ()), Config(proxies=proxies)) == sender


@pytest.mark.parametrize(
    ("updated", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_999_999, "2026-01-01T00:00:00.999Z"),
        (-1_000, "1969-12-31T23:59:59.999Z"),
        (253_402_300_799_999_000, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_an_instant_has_milliseconds(updated, text):
    assert format_instant(updated) == text


@pytest.mark.parametrize("text", ["a", "A-1.b", "1" * 64])
def test_valid_ids(text):
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "1" * 65, "é", "１", "a_b", "a\n", "a/b", None, 1])
def test_invalid_ids(text):
    assert not is_id(text)
