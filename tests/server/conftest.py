"""Validate every FHIR response of an application in the test process."""

from functools import lru_cache

import pytest
from flask import request, request_finished
from werkzeug.routing import Rule

from fhir_b12.jsonio import loads
from fhir_b12.server.fhir.validation_policy import is_base_rule
from fhir_b12.server.wire.media_types import FHIR_JSON
from fhir_b12.validation import Validator

#: rule -> why a response may break it; a violation of a profile is stored if only R4 is validated
SUMMARY_RULES = {"sdf-6": "a summary of a definition, marked SUBSETTED, has no differential"}
UNCHECKED = {"required-binding": "a resource is returned as stored by a server without validation"}
#: types that the server itself generates
GENERATED = frozenset(
    {"AuditEvent", "Bundle", "CapabilityStatement", "OperationOutcome", "Parameters"}
)
_validator = Validator(plausibility=False)


_builders = {}
_compile_builder = Rule._compile_builder


def _compile_builder_once(rule, append_unknown=True):
    """Compile the URL builder of a rule, once for all applications of the tests.

    This is three quarters of the time that an application takes to build, and tests build hundreds.
    """
    key = rule.rule, repr(rule.defaults), append_unknown
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _compile_builder_once


@pytest.fixture(autouse=True)
def _every_response_is_valid():
    responses = {}

    def record(sender, response, **_):
        has_body = request.method != "HEAD" and response.status_code not in {204, 304}
        if has_body and response.mimetype == FHIR_JSON and (text := response.get_data()):
            responses[text] = f"{request.method} {request.url_rule}: {response.status_code}"

    with request_finished.connected_to(record):
        yield
    # after the requests, because a validator serves one thread at a time
    assert [f"{name} {fault}" for text, name in responses.items() for fault in faults(text)] == []


@lru_cache(maxsize=4096)
def faults(text):
    """Return the errors of a response against R4, except the permitted ones."""
    value = loads(text)
    excused = {} if value["resourceType"] in GENERATED else UNCHECKED
    excused = excused | (SUMMARY_RULES if b"SUBSETTED" in text else {})
    errors = [
        issue for issue in _validator.validate(value) if issue.is_error and is_base_rule(issue)
    ]
    return [str(issue) for issue in errors if issue.rule not in excused]
