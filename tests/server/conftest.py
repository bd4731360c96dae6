"""Every FHIR answer that a test gets from an application of its process is held to R4."""

from functools import lru_cache

import pytest
from flask import request, request_finished

from fhir_b12.jsonio import loads
from fhir_b12.server.wire import FHIR_JSON
from fhir_b12.validation import Validator

#: what the server itself makes; the rest it shows as it was given
MADE = frozenset({"AuditEvent", "Bundle", "CapabilityStatement", "OperationOutcome", "Parameters"})
_LENIENT = "a server that is told to hold to R4 alone keeps what breaks a profile"
#: rule -> why a resource that was given may break it
GIVEN = {
    "profile-min": _LENIENT,
    "profile-slice-min": _LENIENT,
    "required-binding": "a server that is told to check nothing keeps any code",
}
_PART = "what is asked for in part lacks what its profile, or another element of it, wants"
#: rule -> why a resource marked SUBSETTED may break it, https://hl7.org/fhir/R4/search.html#elements
IN_PART = dict.fromkeys(("profile-min", "profile-slice-min", "vs-2", "sdf-6"), _PART)
_validator = Validator(plausibility=False)


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
    excused = {} if value["resourceType"] in MADE else GIVEN
    excused = excused | (IN_PART if b"SUBSETTED" in text else {})
    found = [issue for issue in _validator.validate(value) if issue.is_error]
    return [str(issue) for issue in found if issue.rule not in excused]
