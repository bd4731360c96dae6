"""Every access is recorded in an AuditEvent.  https://profiles.ihe.net/ITI/BALP/"""

import base64
from dataclasses import replace

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.server.app import create_app
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import FullAccess
from fhir_b12.validation import Validator
from tests.server.auth.conftest import observation
from tests.server.fhir.conftest import Client

VALIDATOR = Validator(plausibility=False)


@pytest.fixture
def audited_server(new_server):
    new_server.config = replace(new_server.config, audit=True)
    new_server.app = create_app(new_server.config, new_server.store, clock=new_server.clock)
    new_server.client = Client(new_server.app)
    return new_server


def events(server):
    """Return (action, interaction, client, references) of all events, oldest first."""
    query = parse_query("AuditEvent", [("_count", "1000")], strict=True, base="")
    rows = []
    for version in server.store.search(query, FullAccess()).matches:
        event = loads(version.body)
        assert [str(issue) for issue in VALIDATOR.validate(event) if issue.is_error] == []
        check_pattern(event)
        references = [
            entity["what"]["reference"]
            for entity in event["entity"]
            if "reference" in entity.get("what", ())
        ]
        client = event["agent"][0]["who"]["identifier"]["value"]
        rows.append((event["action"], event["subtype"][0]["code"], client, references))
    return rows


DCM = "http://dicom.nema.org/resources/ontology/DCM"
CLIENT_TO_SERVER = (
    (DCM, "110153"),
    (DCM, "110152"),
)  #: the client is the source, the server the destination
SERVER_TO_CLIENT = ((DCM, "110152"), (DCM, "110153"))
CUSTODIAN = ((DCM, "110150"), ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian"))  # fmt: skip
#: interaction -> action, types of the client and server agents, role of the object
PATTERNS = {
    "read": ("R", SERVER_TO_CLIENT, "4"), "vread": ("R", SERVER_TO_CLIENT, "4"), "search-type": ("E", CLIENT_TO_SERVER, "24"),
    "create": ("C", CLIENT_TO_SERVER, "4"), "update": ("U", CLIENT_TO_SERVER, "4"), "patch": ("U", CLIENT_TO_SERVER, "4"),
    "delete": ("D", CUSTODIAN, "4"),
}  # fmt: skip


def check_pattern(event):
    """Check an event against IHE's pattern of its interaction, if IHE defines one."""
    expected = PATTERNS.get(event["subtype"][0]["code"])
    if expected is None:
        return
    codings = [agent["type"]["coding"][0] for agent in event["agent"]]
    objects = [entity for entity in event["entity"] if entity["type"]["code"] == "2"]
    parts = tuple((coding["system"], coding["code"]) for coding in codings)
    assert (event["action"], parts, *(entity["role"]["code"] for entity in objects)) == expected
    assert all({"who", "network"} <= agent.keys() for agent in event["agent"])
    assert "detail" not in objects[0]
    assert ("what" in objects[0]) != ("query" in objects[0])
    assert [entity for entity in event["entity"] if entity["type"]["code"] == "XrequestId"] != []


def test_reads_searches_and_writes_have_events(audited_server):
    request = audited_server.client_as("all")
    request("GET", "Observation/lab1")
    request("GET", "Observation/lab1/_history/1")
    request("GET", "Observation?code=x&subject=Patient/two")
    request("GET", "Observation?subject=Patient/two")
    request("PUT", "Observation/lab1", observation("lab1", "one", "laboratory", status="amended"))
    request("PUT", "Observation/lab1", observation("lab1", "one", "laboratory", status="amended"))
    patch = [{"op": "replace", "path": "/status", "value": "final"}]
    request("PATCH", "Observation/lab1", patch, Content_Type="application/json-patch+json")
    request("DELETE", "Observation/lab1")
    request("GET", "Patient/two/$everything?_type=Patient")
    request("GET", "/therapy/patients/two")
    assert events(audited_server) == [
        ("R", "read", "all", ["Observation/lab1/_history/1", "Patient/one"]),
        ("R", "vread", "all", ["Observation/lab1/_history/1", "Patient/one"]),
        ("E", "search-type", "all", []),
        ("E", "search-type", "all", ["Observation/lab2/_history/1", "Patient/two"]),
        ("U", "update", "all", ["Observation/lab1/_history/2", "Patient/one"]),
        ("U", "patch", "all", ["Observation/lab1/_history/3", "Patient/one"]),
        ("D", "delete", "all", ["Observation/lab1/_history/4"]),
        ("E", "operation", "all", ["Patient/two/_history/1", "Patient/two"]),
        (
            "E",
            "operation",
            "all",
            ["Patient/two/_history/1", "Observation/lab2/_history/1", "Patient/two"],
        ),
    ]


def test_reads_of_plain_records_have_events(audited_server):
    request = audited_server.client_as("all")
    request("GET", "/therapy/patients/two/timeline")
    request("GET", "/therapy/patients?family=Yolanda")
    operation, search = events(audited_server)
    assert operation[:2] == ("E", "operation")
    assert {"Patient/two", "Observation/lab2/_history/1"} <= set(operation[3])
    assert search == ("E", "search-type", "all", ["Patient/two/_history/1", "Patient/two"])


FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("arguments", "headers", "expected_query"),
    [
        (("GET", "Patient?name=Zebedee"), {}, b"/fhir/Patient?name=Zebedee"),
        (("POST", "Patient/_search", "name=Zebedee"), FORM, b"/fhir/Patient/_search?name=Zebedee"),
    ],
    ids=["GET", "POST"],
)
def test_an_event_has_the_query_and_the_request_id(
    audited_server, capsys, arguments, headers, expected_query
):
    audited_server.client_as("all")(*arguments, **headers, X_Request_Id="asked-1")
    query = parse_query("AuditEvent", [], strict=True, base="")
    event = loads(audited_server.store.search(query, FullAccess()).matches[0].body)
    query = next(entity["query"] for entity in event["entity"] if "query" in entity)
    assert base64.b64decode(query) == expected_query
    names = [entity["what"].get("identifier") for entity in event["entity"] if "what" in entity]
    assert {"value": "asked-1"} in names
    assert "Zebedee" not in "".join(capsys.readouterr())


def test_a_refused_or_rolled_back_request_has_no_event(audited_server):
    request = audited_server.client_as("of-one")
    request("POST", "Observation", observation("x", "two", "laboratory"))
    request("GET", "Observation/lab2")
    entry = [
        {"resource": observation("a", "one", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
        {"resource": observation("b", "two", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
    ]  # fmt: skip
    request("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry})
    assert events(audited_server) == []


def test_a_transaction_has_an_event_for_each_of_its_changes(audited_server):
    entry = [{"resource": observation(name, "one", "laboratory"), "request": {"method": "POST", "url": "Observation"}} for name in "ab"]  # fmt: skip
    response = audited_server.client_as("all")(
        "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    )
    assert response.status_code == 200
    assert [event[:3] for event in events(audited_server)] == [("C", "create", "all")] * 2


def test_events_can_be_searched_by_patient_and_not_changed(audited_server):
    request = audited_server.client_as("all")
    request("GET", "Observation/lab1")
    page = request("GET", "AuditEvent?patient=Patient/one").json
    assert len(page["entry"]) == 1
    name = page["entry"][0]["resource"]["id"]
    assert request("DELETE", f"AuditEvent/{name}").status_code in {403, 405}
    assert request("PUT", f"AuditEvent/{name}", page["entry"][0]["resource"]).status_code in {
        403,
        405,
    }


def test_audit_can_be_turned_off(new_server):
    new_server.client_as("all")("GET", "Observation/lab1")
    assert events(new_server) == []
