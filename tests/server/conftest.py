"""Validate every FHIR response of an application in the test process."""

from functools import lru_cache

import pytest
from flask import request, request_finished
from werkzeug.routing import Rule

from fhir_b12.jsonio import loads
from fhir_b12.server.fhir.validation_policy import is_base_rule
from fhir_b12.server.wire.media_types import FHIR_JSON
from fhir_b12.validation import Validator

#: rule -> why an answer may break it; what breaks a profile is kept and shown where R4 alone is held to
IN_PART = {"sdf-6": "a definition shown in part, marked SUBSETTED, has no differential"}
UNCHECKED = {
    "required-binding": "a resource shown as it was given to a server told to check nothing"
}
#: what the server itself makes
MADE = frozenset({"AuditEvent", "Bundle", "CapabilityStatement", "OperationOutcome", "Parameters"})
_validator = Validator(plausibility=False)


_builders = {}
_compile_builder = Rule._compile_builder


def _compile_builder_once(rule, append_unknown=True):
    """Compile what builds the URL of a rule, once for all applications of the tests.

    This is three quarters of the time that an application takes to build, and tests build hundreds.
    """
    key = rule.rule, repr(rule.defaults), append_unknown
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


Rule._compile_builder = _compile_builder_once


@pytest.fixture(autouse=True)
def _every_answer_is_valid():
    answers = {}

    def note(sender, response, **_):
        is_told = request.method != "HEAD" and response.status_code not in {204, 304}
        if is_told and response.mimetype == FHIR_JSON and (text := response.get_data()):
            answers[text] = f"{request.method} {request.url_rule}: {response.status_code}"

    with request_finished.connected_to(note):
        yield
    # here and not there: a validator serves one thread at a time
    assert [f"{what} {fault}" for text, what in answers.items() for fault in faults(text)] == []


@lru_cache(maxsize=4096)
def faults(text):
    """What R4 forbids in an answer."""
    value = loads(text)
    excused = {} if value["resourceType"] in MADE else UNCHECKED
    excused = excused | (IN_PART if b"SUBSETTED" in text else {})
    found = [
        issue for issue in _validator.validate(value) if issue.is_error and is_base_rule(issue)
    ]
    return [str(issue) for issue in found if issue.rule not in excused]
