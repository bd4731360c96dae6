"""Use fhirclient, fhirpy and requests (PyPI) against a server."""

import fhirpy
import pytest
import requests
from fhirclient import client as smart
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

pytestmark = pytest.mark.slow


def observation(patient_id, number=0):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": f"result {number}"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }


def test_fhirclient(base):
    client = smart.FHIRClient(settings={"app_id": "tests", "api_base": base})
    client.prepare()
    assert client.ready
    server = client.server
    identifier = [{"system": "urn:fhirclient", "value": "1"}]
    patient_id = Patient({"active": True, "identifier": identifier}).create(server)["id"]
    patient = Patient.read(patient_id, server)
    assert patient.active
    patient.gender = "female"
    assert patient.update(server)["meta"]["versionId"] == "2"
    for number in range(5):
        Observation(observation(patient_id, number)).create(server)
    subject = f"Patient/{patient_id}"
    parameters = {"subject": subject, "_count": "2", "_include": "Observation:subject"}
    bundle = Observation.where(parameters).perform(server)
    modes = [(entry.search.mode, entry.resource.resource_type) for entry in bundle.entry]
    assert modes == [("match", "Observation")] * 2 + [("include", "Patient")]
    matches = 0
    while bundle is not None:
        matches += sum(entry.search.mode == "match" for entry in bundle.entry)
        next_urls = [link.url for link in bundle.link if link.relation == "next"]
        bundle = (
            Bundle.read_from(next_urls[0].removeprefix(f"{base}/"), server) if next_urls else None
        )
    assert matches == 5
    transaction = Bundle({"type": "transaction", "entry": [
        {"resource": observation(patient_id), "request": {"method": "POST", "url": "Observation"}},
    ]})  # fmt: skip
    response = server.post_json("", transaction.as_json()).json()
    assert response["entry"][0]["response"]["status"] == "201 Created"
    history = server.request_json(f"Patient/{patient_id}/_history")
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]
    (match,) = Patient.where({"identifier": "urn:fhirclient|1"}).perform_resources(server)
    assert match.id == patient_id
    Patient.read(patient_id, server).delete(server)
    with pytest.raises(requests.HTTPError, match="410"):
        Patient.read(patient_id, server)


def test_fhirpy(base):
    client = fhirpy.SyncFHIRClient(base)
    identifier = [{"system": "urn:fhirpy", "value": "1"}]
    patient = client.resource("Patient", identifier=identifier, active=True)
    patient.save()
    patient["gender"] = "female"
    patient.save()
    assert patient["meta"]["versionId"] == "2"
    for number in range(5):
        elements = observation(patient.id, number)
        client.resource(elements.pop("resourceType"), **elements).save()
    results = client.resources("Observation").search(subject=f"Patient/{patient.id}")
    assert len(results.limit(2).fetch_all()) == 5
    assert results.count() == 5
    included = results.include("Observation", "subject").fetch_raw()
    assert {entry.search.mode for entry in included.entry} == {"match", "include"}
    matches = client.resources("Patient").search(identifier="urn:fhirpy|1")
    existing, created = matches.get_or_create(client.resource("Patient", identifier=identifier))
    assert (existing.id, created) == (patient.id, False)
    changed, created = matches.update(
        client.resource("Patient", identifier=identifier, gender="male")
    )
    assert (changed.id, changed["gender"], created) == (patient.id, "male", False)
    patient.refresh()
    patient.delete()
    with pytest.raises((ResourceNotFound, OperationOutcome)):
        client.reference("Patient", patient.id).to_resource()


def test_requests(base):
    created = requests.post(f"{base}/Patient", json={"resourceType": "Patient"}, timeout=10)
    assert created.status_code == 201
    url = created.headers["Location"].partition("/_history")[0]
    cached = requests.get(url, headers={"If-None-Match": created.headers["ETag"]}, timeout=10)
    assert (cached.status_code, cached.content) == (304, b"")
    patch = [{"op": "add", "path": "/active", "value": True}]
    headers = {"Content-Type": "application/json-patch+json", "If-Match": created.headers["ETag"]}
    assert requests.patch(url, json=patch, headers=headers, timeout=10).status_code == 200
    assert requests.patch(url, json=patch, headers=headers, timeout=10).status_code == 412
    assert requests.delete(url, timeout=10).status_code == 204
    assert requests.get(url, timeout=10).status_code == 410
