"""fhirclient and fhirpy (PyPI), requests."""

import fhirpy
import pytest
import requests
from fhirclient import client as smart
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

pytestmark = pytest.mark.slow


def observation(patient, number=0):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": f"result {number}"},
        "subject": {"reference": f"Patient/{patient}"},
    }


def test_fhirclient(base):
    client = smart.FHIRClient(settings={"app_id": "tests", "api_base": base})
    client.prepare()
    assert client.ready
    server = client.server
    identifier = [{"system": "urn:fhirclient", "value": "1"}]
    name = Patient({"active": True, "identifier": identifier}).create(server)["id"]
    patient = Patient.read(name, server)
    assert patient.active
    patient.gender = "female"
    assert patient.update(server)["meta"]["versionId"] == "2"
    for number in range(5):
        Observation(observation(name, number)).create(server)
    where = {"subject": f"Patient/{name}", "_count": "2", "_include": "Observation:subject"}
    bundle = Observation.where(where).perform(server)
    modes = [(entry.search.mode, entry.resource.resource_type) for entry in bundle.entry]
    assert modes == [("match", "Observation")] * 2 + [("include", "Patient")]
    seen = 0
    while bundle is not None:
        seen += sum(entry.search.mode == "match" for entry in bundle.entry)
        following = [link.url for link in bundle.link if link.relation == "next"]
        bundle = (
            Bundle.read_from(following[0].removeprefix(f"{base}/"), server) if following else None
        )
    assert seen == 5
    whole = Bundle({"type": "transaction", "entry": [
        {"resource": observation(name), "request": {"method": "POST", "url": "Observation"}},
    ]})  # fmt: skip
    answer = server.post_json("", whole.as_json()).json()
    assert answer["entry"][0]["response"]["status"] == "201 Created"
    history = server.request_json(f"Patient/{name}/_history")
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]
    assert Patient.where({"identifier": "urn:fhirclient|1"}).perform_resources(server)[0].id == name
    Patient.read(name, server).delete(server)
    with pytest.raises(requests.HTTPError, match="410"):
        Patient.read(name, server)


def test_fhirpy(base):
    client = fhirpy.SyncFHIRClient(base)
    identifier = [{"system": "urn:fhirpy", "value": "1"}]
    patient = client.resource("Patient", identifier=identifier, active=True)
    patient.save()
    patient["gender"] = "female"
    patient.save()
    assert patient["meta"]["versionId"] == "2"
    for number in range(5):
        facts = observation(patient.id, number)
        client.resource(facts.pop("resourceType"), **facts).save()
    results = client.resources("Observation").search(subject=f"Patient/{patient.id}")
    assert len(results.limit(2).fetch_all()) == 5
    assert results.count() == 5
    included = results.include("Observation", "subject").fetch_raw()
    assert {entry.search.mode for entry in included.entry} == {"match", "include"}
    found = client.resources("Patient").search(identifier="urn:fhirpy|1")
    same, created = found.get_or_create(client.resource("Patient", identifier=identifier))
    assert (same.id, created) == (patient.id, False)
    changed, created = found.update(
        client.resource("Patient", identifier=identifier, gender="male")
    )
    assert (changed.id, changed["gender"], created) == (patient.id, "male", False)
    patient.refresh()
    patient.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        client.reference("Patient", patient.id).to_resource()


def test_requests(base):
    made = requests.post(f"{base}/Patient", json={"resourceType": "Patient"}, timeout=10)
    assert made.status_code == 201
    place = made.headers["Location"].partition("/_history")[0]
    again = requests.get(place, headers={"If-None-Match": made.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
    patch = [{"op": "add", "path": "/active", "value": True}]
    headers = {"Content-Type": "application/json-patch+json", "If-Match": made.headers["ETag"]}
    assert requests.patch(place, json=patch, headers=headers, timeout=10).status_code == 200
    assert requests.patch(place, json=patch, headers=headers, timeout=10).status_code == 412
    assert requests.delete(place, timeout=10).status_code == 204
    assert requests.get(place, timeout=10).status_code == 410
