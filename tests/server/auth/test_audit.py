"""Every access leaves an AuditEvent.  https://profiles.ihe.net/ITI/BALP/"""

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
def audited(fresh):
    fresh.config = replace(fresh.config, audit=True)
    fresh.app = create_app(fresh.config, fresh.store, clock=fresh.clock)
    fresh.client = Client(fresh.app)
    return fresh


def events(server):
    """Every event: action, interaction, client, and the names it tells, oldest first."""
    query = parse_query("AuditEvent", [("_count", "1000")], strict=True, base="")
    found = []
    for version in server.store.search(query, FullAccess()).matches:
        event = loads(version.body)
        assert [str(issue) for issue in VALIDATOR.validate(event) if issue.is_error] == []
        follows_its_pattern(event)
        names = [
            entity["what"]["reference"]
            for entity in event["entity"]
            if "reference" in entity.get("what", ())
        ]
        client = event["agent"][0]["who"]["identifier"]["value"]
        found.append((event["action"], event["subtype"][0]["code"], client, names))
    return found


DCM = "http://dicom.nema.org/resources/ontology/DCM"
SENT = ((DCM, "110153"), (DCM, "110152"))  #: the client is the source, the server the destination
SHOWN = ((DCM, "110152"), (DCM, "110153"))
TAKEN = ((DCM, "110150"), ("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian"))  # fmt: skip
#: interaction -> its action, what client and server are, the role of its one object
PATTERNS = {
    "read": ("R", SHOWN, "4"), "vread": ("R", SHOWN, "4"), "search-type": ("E", SENT, "24"),
    "create": ("C", SENT, "4"), "update": ("U", SENT, "4"), "patch": ("U", SENT, "4"),
    "delete": ("D", TAKEN, "4"),
}  # fmt: skip


def follows_its_pattern(event):
    """As IHE's Read, Query, Create, Update and Delete have it; there is none of other interactions."""
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


def test_reads_searches_and_writes_have_events(audited):
    asked = audited.as_("all")
    asked("GET", "Observation/lab1")
    asked("GET", "Observation/lab1/_history/1")
    asked("GET", "Observation?code=x&subject=Patient/two")
    asked("GET", "Observation?subject=Patient/two")
    asked("PUT", "Observation/lab1", observation("lab1", "one", "laboratory", status="amended"))
    asked("PUT", "Observation/lab1", observation("lab1", "one", "laboratory", status="amended"))
    patch = [{"op": "replace", "path": "/status", "value": "final"}]
    asked("PATCH", "Observation/lab1", patch, Content_Type="application/json-patch+json")
    asked("DELETE", "Observation/lab1")
    asked("GET", "Patient/two/$everything?_type=Patient")
    asked("GET", "/therapy/patients/two")
    assert events(audited) == [
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


def test_reads_of_plain_records_have_events(audited):
    asked = audited.as_("all")
    asked("GET", "/therapy/patients/two/timeline")
    asked("GET", "/therapy/patients?family=Yolanda")
    operation, search = events(audited)
    assert operation[:2] == ("E", "operation")
    assert {"Patient/two", "Observation/lab2/_history/1"} <= set(operation[3])
    assert search == ("E", "search-type", "all", ["Patient/two/_history/1", "Patient/two"])


FORM = {"Content_Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("asked", "headers", "noted"),
    [
        (("GET", "Patient?name=Zebedee"), {}, b"/fhir/Patient?name=Zebedee"),
        (("POST", "Patient/_search", "name=Zebedee"), FORM, b"/fhir/Patient/_search?name=Zebedee"),
    ],
    ids=["GET", "POST"],
)
def test_an_event_has_the_query_and_the_request_id(audited, capsys, asked, headers, noted):
    audited.as_("all")(*asked, **headers, X_Request_Id="asked-1")
    query = parse_query("AuditEvent", [], strict=True, base="")
    event = loads(audited.store.search(query, FullAccess()).matches[0].body)
    query = next(entity["query"] for entity in event["entity"] if "query" in entity)
    assert base64.b64decode(query) == noted
    names = [entity["what"].get("identifier") for entity in event["entity"] if "what" in entity]
    assert {"value": "asked-1"} in names
    assert "Zebedee" not in "".join(capsys.readouterr())


def test_a_refused_or_rolled_back_request_has_no_event(audited):
    asked = audited.as_("of-one")
    asked("POST", "Observation", observation("x", "two", "laboratory"))
    asked("GET", "Observation/lab2")
    entry = [
        {"resource": observation("a", "one", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
        {"resource": observation("b", "two", "laboratory"), "request": {"method": "POST", "url": "Observation"}},
    ]  # fmt: skip
    asked("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry})
    assert events(audited) == []


def test_a_transaction_has_an_event_for_each_of_its_changes(audited):
    entry = [{"resource": observation(name, "one", "laboratory"), "request": {"method": "POST", "url": "Observation"}} for name in "ab"]  # fmt: skip
    answer = audited.as_("all")(
        "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    )
    assert answer.status_code == 200
    assert [event[:3] for event in events(audited)] == [("C", "create", "all")] * 2


def test_events_can_be_searched_by_patient_and_not_changed(audited):
    asked = audited.as_("all")
    asked("GET", "Observation/lab1")
    page = asked("GET", "AuditEvent?patient=Patient/one").json
    assert len(page["entry"]) == 1
    name = page["entry"][0]["resource"]["id"]
    assert asked("DELETE", f"AuditEvent/{name}").status_code in {403, 405}
    assert asked("PUT", f"AuditEvent/{name}", page["entry"][0]["resource"]).status_code in {
        403,
        405,
    }


def test_audit_can_be_turned_off(fresh):
    fresh.as_("all")("GET", "Observation/lab1")
    assert events(fresh) == []
