"""Chains, includes and reverse chains of a restricted token stay within its restrictions.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html
"""

import pytest

from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import Change, FullAccess
from tests.server.store.test_store import BASE, at, put, query
from tests.server.temporary import Temporary

CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


class Restricted:
    """Permissions by resource type: a restriction, "" for none; other types are forbidden."""

    def __init__(self, **restrictions):
        self._restrictions = restrictions

    def limits(self, resource_type, action):  # noqa: ARG002
        restriction = self._restrictions.get(resource_type)
        if restriction is None:
            return None
        return (query(restriction, resource_type),) if restriction else ()


def organization(name, **more):
    return {"resourceType": "Organization", "name": name} | more


def patient(active, organization_id):
    reference = {"reference": f"Organization/{organization_id}"}
    return {"resourceType": "Patient", "active": active, "managingOrganization": reference}


def observation(patient_id, category):
    return {
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "subject": {"reference": f"Patient/{patient_id}"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def store():
    """Two patients, one of them active, of two organizations, one of them active."""
    store = Temporary(Config(public_url="https://fhir.clinic.test"))
    resources = {
        "open": organization("Clinic", active=True),
        "closed": organization("Clinic", active=False),
        "shown": patient(True, "closed"),
        "hidden": patient(False, "open"),
        "lab-of-shown": observation("shown", "laboratory"),
        "vital-of-shown": observation("shown", "vital-signs"),
        "lab-of-hidden": observation("hidden", "laboratory"),
    }
    changes = [put(name, resource) for name, resource in resources.items()]
    store.apply(changes, FullAccess(), clock=at(0))
    yield store
    store.close()


def search(store, url, access):
    """Return the ids of the matches, and those of the included resources."""
    resource_type, _, text = url.partition("?")
    pairs = [tuple(pair.split("=", 1)) for pair in text.split("&")]
    parsed = parse_query(resource_type, pairs, strict=True, base=BASE)
    page = store.search(parsed, access)
    return [{version.id for version in versions} for versions in (page.matches, page.included)]


ACTIVE_PATIENTS = Restricted(Patient="active=true", Observation="", Organization="")
LABORATORY = Restricted(Patient="", Observation="category=laboratory", Organization="")
ACTIVE_ORGANIZATIONS = Restricted(Patient="", Observation="", Organization="active=true")


@pytest.mark.parametrize(
    ("url", "access", "ids"),
    [
        ("Observation?subject:Patient.active=false", FullAccess(), {"lab-of-hidden"}),
        ("Observation?subject:Patient.active=false", ACTIVE_PATIENTS, set()),
        ("Observation?subject:Patient.active=true", ACTIVE_PATIENTS, {"lab-of-shown", "vital-of-shown"}),
        ("Observation?subject:Patient.organization.name=clinic", ACTIVE_PATIENTS,
         {"lab-of-shown", "vital-of-shown"}),
        ("Observation?subject:Patient.organization.name=clinic", ACTIVE_ORGANIZATIONS, {"lab-of-hidden"}),
        ("Patient?organization.name=clinic", ACTIVE_ORGANIZATIONS, {"hidden"}),
    ],
)  # fmt: skip
def test_a_chain_matches_only_resources_within_the_restriction(store, url, access, ids):
    assert search(store, url, access) == [ids, set()]


@pytest.mark.parametrize(
    ("url", "access", "ids"),
    [
        ("Patient?_has:Observation:subject:category=vital-signs", FullAccess(), {"shown"}),
        ("Patient?_has:Observation:subject:category=vital-signs", LABORATORY, set()),
        ("Patient?_has:Observation:subject:status=final", LABORATORY, {"shown", "hidden"}),
        ("Organization?_has:Patient:organization:_has:Observation:subject:category=vital-signs", LABORATORY,
         set()),
        ("Organization?_has:Patient:organization:active=false", ACTIVE_PATIENTS, set()),
    ],
)  # fmt: skip
def test_a_reverse_chain_matches_only_resources_within_the_restriction(store, url, access, ids):
    assert search(store, url, access) == [ids, set()]


@pytest.mark.parametrize(
    "url",
    [
        "Observation?subject:Patient.active=true",
        "Organization?_has:Patient:organization:active=true",
    ],
)
def test_a_chain_to_a_forbidden_type_is_403(store, url):
    with pytest.raises(RequestError) as refused:
        search(store, url, Restricted(Observation="", Organization=""))
    assert refused.value.status == 403


_THEN_ORGANIZATION = "_include=Observation:subject&_include:iterate=Patient:organization"


@pytest.mark.parametrize(
    ("url", "access", "included"),
    [
        ("Observation?_include=Observation:subject", FullAccess(), {"shown", "hidden"}),
        ("Observation?_include=Observation:subject", ACTIVE_PATIENTS, {"shown"}),
        ("Observation?_include=Observation:subject", Restricted(Observation=""), set()),
        (f"Observation?{_THEN_ORGANIZATION}", FullAccess(), {"shown", "hidden", "open", "closed"}),
        (f"Observation?{_THEN_ORGANIZATION}", ACTIVE_PATIENTS, {"shown", "closed"}),
        (f"Observation?{_THEN_ORGANIZATION}", ACTIVE_ORGANIZATIONS, {"shown", "hidden", "open"}),
        (f"Observation?{_THEN_ORGANIZATION}", Restricted(Observation="", Organization=""), set()),
        ("Patient?_revinclude=Observation:subject", FullAccess(),
         {"lab-of-shown", "vital-of-shown", "lab-of-hidden"}),
        ("Patient?_revinclude=Observation:subject", LABORATORY, {"lab-of-shown", "lab-of-hidden"}),
        ("Patient?_revinclude=Observation:subject", Restricted(Patient="active=true", Observation=""),
         {"lab-of-shown", "vital-of-shown"}),
        ("Patient?_revinclude=Observation:subject", Restricted(Patient=""), set()),
        ("Organization?_revinclude=Patient:organization&_revinclude:iterate=Observation:subject",
         Restricted(Patient="active=true", Observation="category=laboratory", Organization=""),
         {"shown", "lab-of-shown"}),
    ],
)  # fmt: skip
def test_includes_stay_within_the_restriction(store, url, access, included):
    assert search(store, url, access)[1] == included


def test_an_include_without_iterate_does_not_follow_included_resources(store):
    url = "Observation?_include=Observation:subject&_include=Patient:organization"
    assert search(store, url, FullAccess())[1] == {"shown", "hidden"}


def test_a_chain_matches_only_the_type_that_it_names(store):
    group = {"resourceType": "Observation", "subject": {"reference": "Group/g"}}
    changes = [put("g", {"resourceType": "Group"}), put("of-group", group)]
    store.apply(changes, FullAccess(), clock=at(0))
    of_patients = search(store, "Observation?subject:Patient._lastUpdated=lt2000", FullAccess())
    of_groups = search(store, "Observation?subject:Group._lastUpdated=lt2000", FullAccess())
    store.apply(
        [
            Change(method="DELETE", type="Group", id="g"),
            Change(method="DELETE", type="Observation", id="of-group"),
        ],
        FullAccess(),
        clock=at(0),
    )
    assert of_patients[0] == {"lab-of-shown", "vital-of-shown", "lab-of-hidden"}
    assert of_groups[0] == {"of-group"}


def test_a_chain_to_a_deleted_resource_does_not_match():
    store = Temporary(Config(public_url="https://fhir.clinic.test"))
    store.apply(
        [put("p", patient(True, "o")), put("r", observation("p", "laboratory"))],
        FullAccess(),
        clock=at(0),
    )
    url = "Observation?subject:Patient._lastUpdated=lt2000"
    before = search(store, url, FullAccess())[0]
    store.apply([Change(method="DELETE", type="Patient", id="p")], FullAccess(), clock=at(1))
    assert (before, search(store, url, FullAccess())[0]) == ({"r"}, set())
    store.apply([put("p", patient(True, "o"))], FullAccess(), clock=at(2))
    url = "Patient?_has:Observation:subject:_lastUpdated=lt2000"
    before = search(store, url, FullAccess())[0]
    store.apply([Change(method="DELETE", type="Observation", id="r")], FullAccess(), clock=at(3))
    assert (before, search(store, url, FullAccess())[0]) == ({"p"}, set())
    store.close()


def test_the_matches_of_a_search_with_includes_stay_within_the_restriction(store):
    matches, included = search(
        store, "Patient?_revinclude=Observation:subject", Restricted(Patient="active=true")
    )
    assert (matches, included) == ({"shown"}, set())


def test_the_total_counts_only_resources_within_the_restriction(store):
    page = store.search(query("_total=accurate", "Observation"), LABORATORY)
    assert (page.total, len(page.matches)) == (2, 2)


def test_read_vread_and_history_stay_within_the_restriction(store):
    assert store.read("Patient", "shown", ACTIVE_PATIENTS).id == "shown"
    assert store.read("Patient", "hidden", ACTIVE_PATIENTS) is None
    assert store.vread("Patient", "shown", 1, ACTIVE_PATIENTS).id == "shown"
    assert store.vread("Patient", "hidden", 1, ACTIVE_PATIENTS) is None
    page = store.history(
        "Patient", None, since=None, at=None, count=9, cursor=None, access=ACTIVE_PATIENTS
    )
    assert ([version.id for version in page.matches], page.total) == (["shown"], None)


class Actions:
    """Permissions by action: only the given letters of `cruds`."""

    def __init__(self, letters):
        self._letters = letters

    def limits(self, resource_type, action):  # noqa: ARG002
        return () if action in self._letters else None


@pytest.mark.parametrize(
    ("letters", "method", "name", "outcome"),
    [
        ("c", "POST", None, "created"), ("ruds", "POST", None, 403),
        ("u", "PUT", "known", "updated"), ("crds", "PUT", "known", 403),
        ("cu", "PUT", "new", "created"), ("u", "PUT", "new", 403), ("c", "PUT", "new", 403),
        ("ur", "PATCH", "known", "updated"), ("u", "PATCH", "known", 403), ("crds", "PATCH", "known", 403),
        ("d", "DELETE", "known", "deleted"), ("crus", "DELETE", "known", 403),
    ],
)  # fmt: skip
def test_a_change_needs_the_permission_of_its_action(letters, method, name, outcome):
    store = Temporary(Config())
    store.apply([put("known", {"resourceType": "Patient"})], FullAccess(), clock=at(0))
    resource = {"resourceType": "Patient", "active": True} | ({"id": name} if name else {})
    patch = [{"op": "add", "path": "/active", "value": True}] if method == "PATCH" else None
    body = {"resource": resource} if method in {"POST", "PUT"} else {"patch": patch}
    change = Change(method=method, type="Patient", id=name, **body)
    if outcome == 403:
        with pytest.raises(RequestError) as refused:
            store.apply([change], Actions(letters), clock=at(1))
        assert refused.value.status == 403
    else:
        assert store.apply([change], Actions(letters), clock=at(1))[0].outcome == outcome
    store.close()
