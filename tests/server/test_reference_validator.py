"""Responses of every kind, validated by HL7's validator too.  https://hl7.org/fhir/R4/validation.html"""

from dataclasses import replace

import pytest

from fhir_b12.guide import package
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.app import create_app
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import FullAccess
from tests import oracle
from tests.server.auth.conftest import Server
from tests.server.conftest import faults
from tests.server.fhir.conftest import Client
from tests.server.fhir.test_operations import COBALAMIN, OURS, ROUTES
from tests.server.test_therapy import COURSE

#: what IN_PART is called by HL7's validator; a summary of an extension has no fixed url either
SUMMARY_RULES = {
    "Validation_VAL_Profile_Minimum", "Validation_VAL_Profile_Minimum_SLICE", "SD_EXTENSION_URL_MISSING",
    "http://hl7.org/fhir/StructureDefinition/vitalsigns#vs-2",
    "http://hl7.org/fhir/StructureDefinition/StructureDefinition#sdf-6",
}  # fmt: skip
PATIENT = {"resourceType": "Patient", "id": "one", "active": True}
FORM = "application/x-www-form-urlencoded"
PATCH = {"Content_Type": "application/json-patch+json"}
PREFER = {"Prefer": "return=OperationOutcome"}
ENTRIES = [
    {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/one"}},
    {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
    {"request": {"method": "GET", "url": "Patient/one"}},
    {"request": {"method": "GET", "url": "Observation?_count=2"}},
    {"request": {"method": "GET", "url": "Patient/nobody"}},
    {"request": {"method": "DELETE", "url": "Device/nothing"}},
]


def bundle(kind, entries=ENTRIES):
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


#: in this order; (method, path, body, headers)
REQUESTS = [
    ("GET", "metadata"),
    ("POST", "", bundle("transaction")),
    ("POST", "", bundle("batch")),
    ("POST", "", bundle("batch", ENTRIES[:2]), {"Prefer": "return=minimal"}),
    ("PUT", "Patient/one", PATIENT | {"gender": "female"}),
    ("PUT", "Patient/one", PATIENT | {"gender": "male"}, PREFER),
    ("PUT", "Patient/one", PATIENT | {"birthDate": "1850-01-01"}, PREFER),
    ("PATCH", "Patient/one", [{"op": "add", "path": "/active", "value": False}], PATCH),
    ("GET", "Patient/one"),
    ("GET", "Patient/one?_summary=true"),
    ("GET", "Patient/one?_summary=text"),
    ("GET", "Patient/one?_elements=gender"),
    ("GET", "Patient/one?_pretty=true"),
    ("GET", "Patient/one/_history"),
    ("GET", "Patient/one/_history/1"),
    ("GET", "Patient/_history?_count=3"),
    ("GET", "Patient"),
    ("GET", "Patient?_summary=count"),
    ("GET", "Observation?_summary=true&_count=5"),
    ("GET", "Observation?_elements=status&_count=5"),
    ("GET", "Observation?_count=3&_total=accurate&_sort=-date"),
    ("GET", "Observation?_include=*&_count=5"),
    ("GET", "Patient?_revinclude=Observation:subject&_count=1"),
    ("GET", "MedicationAdministration?_include=MedicationAdministration:request"),
    ("GET", "Condition?subject:Patient.active=true"),
    ("GET", "Observation?status=final&nothing=1"),
    ("POST", "Patient/_search", "active=true", {"Content_Type": FORM}),
    ("GET", "{patient}/Observation?_count=2"),
    ("GET", "{patient}/$everything"),
    ("GET", "{patient}/$everything?_type=Condition"),
    ("GET", "Provenance"),
    ("GET", "AuditEvent?_count=100"),
    ("GET", "ValueSet"),
    ("GET", "StructureDefinition?_summary=true"),
    ("GET", "ConceptMap?_count=1"),
    ("POST", "Patient/$validate", PATIENT | {"gender": "x", "odd": 1}),
    ("POST", "Patient/$validate", PATIENT),
    ("POST", "Patient/$validate", "{"),
    ("GET", "Patient/one/$validate"),
    ("GET", f"ValueSet/$expand?url={ROUTES}"),
    ("GET", f"ValueSet/$validate-code?url={ROUTES}&{COBALAMIN}"),
    ("GET", f"CodeSystem/$validate-code?url={OURS}&code=vitamin-b12-deficiency"),
    ("GET", f"ConceptMap/$translate?{COBALAMIN}"),
    ("GET", f"ConceptMap/$translate?system={OURS}&code=nothing"),
    ("GET", "ValueSet/$expand?url=http://nowhere.test/set"),
    ("POST", "Patient", "{"),
    ("POST", "Patient", {"resourceType": "Patient", "active": "yes", "odd": 1}),
    ("POST", "Patient", "<a/>", {"Content_Type": "application/xml"}),
    ("GET", "Patient", None, {"Accept": "application/xml"}),
    ("GET", "Patient/nobody"),
    ("GET", "Nothing"),
    ("GET", "Patient?birthdate=x"),
    ("GET", "Patient?nothing=1", None, {"Prefer": "handling=strict"}),
    ("PUT", "Patient/one", PATIENT, {"If_Match": 'W/"99"'}),
    ("PUT", "Patient?active=true", PATIENT),
    ("POST", "AuditEvent", {"resourceType": "AuditEvent"}),
    ("GET", "Patient?family=" + "x" * 20_000),
    ("POST", "", bundle("transaction", [{"request": {"method": "GET", "url": ""}}])),
    ("DELETE", "Patient/one", None, PREFER),
    ("GET", "Patient/one"),
    ("GET", "Patient/one/_history"),
]  # fmt: skip


def responses():
    """Yield name and text of each response, then one AuditEvent of each interaction."""
    server = Server()
    config = replace(server.config, audit=True, validation="base", plausibility="advice")
    client = Client(create_app(config, server.store, clock=server.clock))
    token = {"Authorization": f"Bearer {server.token('all')}"}
    kept = client.post("/therapy/records", dumps(COURSE), Content_Type="application/json", **token)
    names = [row["resource"] for row in loads(kept.data)["resources"]]
    patient = next(name for name in names if name.startswith("Patient/"))
    for number, (method, path, *rest) in enumerate(REQUESTS):
        body, headers = (*rest, None, None)[:2]
        answer = client(method, path.replace("{patient}", patient), body, **token, **headers or {})
        yield f"{number} {method} {path[:60]} {answer.status_code}", answer.data
    yield "without a token", client.get("Patient").data
    query = parse_query("AuditEvent", [("_count", "1000")], strict=True, base="")
    events = [version.body for version in server.store.search(query, FullAccess()).matches]
    yield from {
        f"AuditEvent {loads(event)['subtype'][0]['code']}": event for event in events
    }.items()
    server.store.close()


def test_an_invalid_response_is_reported():
    assert len(faults(b'{"resourceType":"OperationOutcome"}')) == 1
    assert len(faults(b'{"resourceType":"Bundle","type":"searchset","entry":[]}')) == 1


@pytest.mark.slow
def test_responses_of_every_kind_are_valid_for_the_reference_validator(tmp_path):
    named_texts = [(name, text) for name, text in responses() if text]
    packed = tmp_path / package.file_name()
    packed.write_bytes(package.pack_files(package.files()))
    errors_of_responses = oracle.errors(
        [{"text": text.decode()} for _, text in named_texts], packed
    )
    wrong = []
    for (name, text), errors in zip(named_texts, errors_of_responses, strict=True):
        excused = SUMMARY_RULES if b"SUBSETTED" in text else set()
        wrong += [
            (name, place, rules - excused) for place, rules in errors.items() if rules - excused
        ]
        wrong += [(name, fault) for fault in faults(text)]
    assert wrong == []
    assert len(named_texts) > 60
