"""A ProxyStore: what differs from the other stores."""

from dataclasses import replace
from pathlib import Path

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.server import admin
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.errors import RequestError
from fhir_b12.server.open_store import open_store
from fhir_b12.server.search.criteria import InCompartment
from fhir_b12.server.store import Change
from tests.server import durability
from tests.server.auth.conftest import observation
from tests.server.fhir.conftest import CONFIG, PATIENT, Client, ids_on_page, links, status_and_codes
from tests.server.store.test_store import ALL, OnePatient, at, names, patient, post, put, query

PATCH = {"Content_Type": "application/json-patch+json"}
URL = "http://127.0.0.1:9/fhir"


def test_resources_are_stored_upstream_and_clients_locally(new_server):
    upstream = new_server.store.upstream_server.store
    assert (
        upstream.read("Patient", "one", ALL).body
        == new_server.store.read("Patient", "one", ALL).body
    )
    assert (upstream.clients(), len(new_server.store.clients())) == ([], 7)
    assert new_server.store.local.search(query("_count=9"), ALL).matches == ()


def test_a_resource_is_sent_and_received_with_its_digits(store):
    text = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"B12"},'
        b'"valueRange":{"low":{"value":0.10},"high":{"value":1E+3}}}'
    )
    done = store.apply([post(loads(text))], ALL, clock=at(0))[0]
    for checked_store in (store, store.upstream_server.store):
        body = checked_store.read("Observation", done.version.id, ALL).body
        assert body.endswith(text.partition(b",")[2])


def test_an_invalid_resource_is_not_sent(create_client):
    client = create_client()
    assert status_and_codes(client.post("Patient", PATIENT | {"gender": 1}))[0] == 422
    name = client.create(PATIENT)
    operations = [{"op": "add", "path": "/gender", "value": 1}]
    assert status_and_codes(client("PATCH", f"Patient/{name}", operations, **PATCH))[0] == 422
    assert client.get(f"Patient/{name}").headers["ETag"] == 'W/"1"'


def test_an_update_without_a_difference_keeps_the_version(store):
    first, again = (store.apply([put("a", patient())], ALL, clock=at(0))[0] for _ in range(2))
    assert (first.outcome, again.outcome, again.version.version_id) == ("created", "updated", 1)
    patched = Change(method="PATCH", type="Patient", id="a", patch=[])
    assert store.apply([patched], ALL, clock=at(0))[0].outcome == "unchanged"


def test_a_patch_of_a_version_changed_in_between_is_412(store):
    store.apply([put("a", patient())], ALL, clock=at(0))

    def meanwhile(_):
        store.upstream_server.store.apply([put("a", patient(gender="female"))], ALL, clock=at(0))

    patch = [{"op": "replace", "path": "/active", "value": False}]
    change = Change(method="PATCH", type="Patient", id="a", patch=patch)
    with pytest.raises(RequestError) as refused:
        store.apply([change], ALL, clock=at(0), check=meanwhile)
    assert refused.value.status == 412
    assert loads(store.read("Patient", "a", ALL).body)["gender"] == "female"


def test_a_second_delete_is_not_sent(store):
    store.apply([put("a", patient())], ALL, clock=at(0))
    delete = Change(method="DELETE", type="Patient", id="a")
    first, again = (store.apply([delete], ALL, clock=at(0))[0] for _ in range(2))
    assert [(result.outcome, result.version.version_id) for result in (first, again)] == [
        ("deleted", 2), ("missing", 2),
    ]  # fmt: skip


def test_a_scan_follows_pages_and_applies_since_and_limits(store):
    store._config = replace(store._config, max_count=2)
    store.upstream_server.store.apply(
        [put(f"p{n}", patient()) for n in range(5)], ALL, clock=at(1_000_000)
    )
    store.upstream_server.store.apply([put("p9", patient())], ALL, clock=at(9_000_000))

    def scanned(since, limits=()):
        return [
            version.id
            for version in store.scan(["Patient"], since=since, access=ALL, limits=limits)
        ]

    assert scanned(None) == ["p0", "p1", "p2", "p3", "p4", "p9"]
    assert scanned(5_000_000) == ["p9"]
    only = replace_criteria(query("_count=1"), InCompartment("Patient", "p3"))
    assert scanned(None, (only,)) == ["p3"]


def replace_criteria(request, *criteria):
    return type(request)(type=request.type, criteria=criteria)


@pytest.mark.parametrize("name", ["..", "."])
def test_an_id_of_dots_does_not_leave_the_base_url(client, name):
    client.create(PATIENT)
    assert client.get(f"Patient/{name}/_history").status_code == 404
    assert client("DELETE", f"Patient/{name}").status_code == 404
    assert client.get(f"Patient/{name}/Observation").status_code == 404
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT},
        {"request": {"method": "PUT", "url": f"Patient/{name}"}, "resource": PATIENT | {"id": name}},
    ]}  # fmt: skip
    assert client.post("", bundle).status_code == 404


def test_a_cursor_is_valid_for_its_search_and_server_only(client, create_client):
    for number in range(3):
        client.put(f"Patient/p{number}", PATIENT | {"id": f"p{number}"})
    cursor = links(client.get("Patient?_count=1"))["next"].rpartition("_page=")[2]
    assert ids_on_page(client.get(f"Patient?_count=1&_page={cursor}")) == ["p1"]
    for elsewhere in (f"Patient?_count=2&_page={cursor}", f"Observation?_count=1&_page={cursor}"):
        assert status_and_codes(client.get(elsewhere)) == (400, ["value"])
    assert status_and_codes(create_client().get(f"Patient?_count=1&_page={cursor}")) == (
        400,
        ["value"],
    )
    history = links(client.get("Patient/_history?_count=1"))["next"]
    assert len(client.get(history).json["entry"]) == 1
    assert status_and_codes(client.get(history.replace("Patient/", "Observation/"))) == (
        400,
        ["value"],
    )


def test_absolute_references_to_this_server_match_upstream(client):
    client.put("Patient/one", PATIENT | {"id": "one"})
    resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    name = client.create(resource | {"subject": {"reference": "Patient/one"}})
    assert ids_on_page(client.get(f"Observation?subject={CONFIG.base}/Patient/one")) == [name]


# --- tokens


def test_a_restricted_token_gets_matches_without_a_total(new_server):
    for name, ids in (("labs", ["lab1", "lab2"]), ("of-one", ["lab1", "vital1"])):
        request = new_server.client_as(name)
        response = request("GET", "Observation?_total=accurate")
        assert (sorted(ids_on_page(response)), "total" in response.json) == (ids, False)
        assert status_and_codes(request("GET", "Observation?_summary=count")) == (
            403,
            ["forbidden"],
        )
        page = request("GET", "Observation?_count=1")
        assert len(ids_on_page(page)) == 1
        assert len(ids_on_page(request("GET", links(page)["next"]))) == 1


@pytest.mark.parametrize(
    ("client", "scope", "path", "status"),
    [
        ("of-one", None, "Observation?subject:Patient.name=yol", 403),
        ("of-one", None, "Observation?subject.name=yol", 403),
        ("of-one", None, "Patient?_has:Observation:subject:status=final", 403),
        ("of-one", None, "Patient/two/Observation", 403),
        ("of-one", None, "Patient/one/Observation", 200),
        ("labs", None, "Observation?subject:Patient.name=yol", 403),
        ("results", None, "Observation?performer.name=yol", 403),
        ("all", None, "Observation?subject:Patient.name=yol", 200),
        ("all", "system/Observation.rs system/Patient.rs", "Observation?subject:Patient.name=yol", 200),
        ("all", "system/Observation.rs system/Patient.rs", "Observation?subject.name=yol", 403),
        ("all", "system/Observation.rs?category=laboratory system/Observation.rs?category=vital-signs",
         "Observation", 403),
        ("all", None, "Patient?_has:AuditEvent:patient:action=R", 400),
        ("all", None, "Patient?_revinclude=AuditEvent:patient", 400),
    ],
)  # fmt: skip
def test_a_search_that_cannot_be_restricted_upstream_is_refused(
    server, client, scope, path, status
):
    assert server.client_as(client, scope)("GET", path).status_code == status


def test_several_restrictions_apply_to_reads(server):
    scope = "system/Observation.rs?category=laboratory system/Observation.rs?category=vital-signs"
    request = server.client_as("all", scope)
    assert request("GET", "Observation/lab1").status_code == 200
    assert server.client_as("labs")("GET", "Observation/vital1").status_code == 404
    assert server.client_as("labs")("GET", "Observation/vital1/_history/1").status_code == 404


def test_a_restricted_token_updates_visible_resources_and_creates_by_post(new_server):
    request = new_server.client_as("of-one")
    own = observation("lab1", "one", "laboratory", status="amended")
    assert request("PUT", "Observation/lab1", own).status_code == 200
    assert request("PUT", "Observation/lab2", own | {"id": "lab2"}).status_code == 404
    assert request("PUT", "Observation/new", own | {"id": "new"}).status_code == 404
    created = request("POST", "Observation", own)
    assert (created.status_code, created.json["id"] == "lab1") == (201, False)
    other = observation("x", "two", "laboratory")
    assert status_and_codes(request("POST", "Observation", other)) == (403, ["forbidden"])
    assert status_and_codes(request("PUT", "Observation/lab1", other | {"id": "lab1"})) == (
        403,
        ["forbidden"],
    )
    assert new_server.store.read("Observation", "lab1", ALL).version_id == 2


@pytest.mark.parametrize(("method", "status"), [("PUT", 403), ("DELETE", 204), ("PATCH", 404)])
def test_a_condition_of_a_restricted_token_does_not_match_hidden_resources(
    new_server, method, status
):
    body = {"PUT": observation("x", "one", "laboratory"), "PATCH": []}.get(method)
    more = PATCH if method == "PATCH" else {}
    response = new_server.client_as("of-one")(
        method, "Observation?subject=Patient/two", body, **more
    )
    assert response.status_code == status
    assert new_server.store.read("Observation", "lab2", ALL).version_id == 1


def test_a_conditional_create_with_a_restricted_token_is_403(new_server):
    own = observation("x", "one", "laboratory")
    response = new_server.client_as("of-one")(
        "POST", "Observation", own, If_None_Exist="status=final"
    )
    assert status_and_codes(response) == (403, ["forbidden"])


def test_a_search_is_403_if_the_upstream_server_ignores_the_restriction(store):
    store.apply([put("one", patient()), put("two", patient())], ALL, clock=at(0))

    class Ignored(OnePatient):
        """A restriction that the query of the search does not contain."""

        def limits(self, resource_type, action):
            return tuple(
                replace_criteria(limit, query("_id=two").criteria[0])
                for limit in super().limits(resource_type, action)
            )

    assert store.read("Patient", "one", Ignored("one")) is None
    with pytest.raises(RequestError) as refused:
        names(store, access=Ignored("one"))
    assert refused.value.status == 403


# --- audit


def test_a_change_without_a_stored_audit_event_is_507(new_server):
    config = replace(new_server.config, audit=True)
    new_server.client = Client(create_app(config, new_server.store, clock=new_server.clock))
    request = new_server.client_as("all")
    new_server.store.local._do(
        lambda own: own.execute("PRAGMA max_page_count = 1").fetchone()
    )  # a full disk
    own = {"resourceType": "Organization", "name": "x" * 2000}
    responses = [request("POST", "Organization", own) for _ in range(20)]
    assert {response.status_code for response in responses} == {201, 507}
    assert all(
        "the change is stored" in response.text
        for response in responses
        if response.status_code == 507
    )
    assert len(names(new_server.store, "Organization")) == 21


# --- settings and administration


@pytest.mark.parametrize(
    "settings",
    [
        {"database": "https:///fhir"},
        {"database": "https://me:secret@ehr.test/fhir"},
        {"database": "https://ehr.test/fhir?tenant=1"},
        {"database": "http://ehr.test/fhir", "upstream_token": "secret"},
        {"database": "https://ehr.test/fhir", "integrity": True},
    ],
)
def test_settings_impossible_with_an_upstream_server_are_refused(tmp_path, settings):
    config = Config(local=str(tmp_path / "own.db"), **settings)
    with pytest.raises(ConfigError) as error:
        open_store(config)
    assert "secret" not in str(error.value)


def test_the_upstream_token_is_not_in_the_repr_of_the_settings():
    assert "secret" not in repr(Config(upstream_token="secret"))


def test_reindex_and_backup_are_refused(tmp_path):
    store = open_store(Config(database=URL, local=str(tmp_path / "own.db")))
    with pytest.raises(ConfigError):
        store.reindex()
    with pytest.raises(ConfigError, match=r"own\.db"):
        store.backup(Path("copy.db"))
    store.close()


def test_restore_is_refused(tmp_path):
    class Arguments:
        database, file = URL, str(tmp_path / "copy.db")

    with pytest.raises(ConfigError):
        admin.restore(Arguments)


def test_an_unavailable_upstream_server_is_503_until_it_is_back(tmp_path):
    process, port = durability.serve(tmp_path / "there.db")
    config = replace(
        CONFIG, database=f"http://127.0.0.1:{port}/fhir", local=str(tmp_path / "own.db")
    )
    store = open_store(config)
    client = Client(create_app(config, store))
    name = client.create(PATIENT)
    assert client.get("/readyz").status_code == 200
    process.kill()
    process.wait()
    for response in (
        client.get(f"Patient/{name}"),
        client.post("Patient", PATIENT),
        client.get("/readyz"),
    ):
        assert (status_and_codes(response), "Retry-After" in response.headers) == (
            (503, ["transient"]),
            True,
        )
    process, _ = durability.serve(tmp_path / "there.db", port)
    assert client.get(f"Patient/{name}").json["active"] is True
    assert client.get("/readyz").status_code == 200
    process.terminate()
    process.wait()
    store.close()
