"""Searches of the resources in `cases` match what the specification says.  https://hl7.org/fhir/R4/search.html"""

from urllib.parse import quote

import pytest

from fhir_b12.server.app import create_app
from tests.server.fhir.conftest import CONFIG, Client, ids_on_page, links, status_and_codes
from tests.server.search.cases import CASES, ORDERS, RESOURCES
from tests.server.temporary import Temporary

_DEEP = "Observation?_id=moles&_include=Observation:patient&_include:iterate=Patient:organization"
ALL = [(kind, query, ids) for kind, cases in CASES.items() for query, ids in cases]


@pytest.fixture(scope="module")
def client():
    store = Temporary(CONFIG)
    client = Client(create_app(CONFIG, store))
    for resource in RESOURCES:
        response = client.put(f"{resource['resourceType']}/{resource['id']}", resource)
        assert response.status_code == 201, response.data
    yield client
    store.close()


def search(client, url):
    return client.get(quote(url, safe="?&=:|/$,%-+@\\ ").replace(" ", "%20").replace("\\", "%5C"))


@pytest.mark.parametrize(("kind", "query", "ids"), ALL, ids=[f"{k}?{q}" for k, q, _ in ALL])
def test_a_search_matches(client, kind, query, ids):
    assert sorted(ids_on_page(search(client, f"{kind}?{query}"))) == sorted(ids)


@pytest.mark.parametrize(("kind", "query", "ids"), ALL, ids=[f"{k}?{q}" for k, q, _ in ALL])
def test_pages_of_one_match_contain_every_match_once_in_order(client, kind, query, ids):
    expected_ids = ids_on_page(search(client, f"{kind}?{query}"))
    ids_of_pages, response = [], search(client, f"{kind}?{query}&_count=1")
    while True:
        ids_of_pages += ids_on_page(response)
        if "next" not in links(response):
            break
        assert len(ids_of_pages) <= len(expected_ids)
        response = client.get(links(response)["next"])
    assert ids_of_pages == expected_ids


@pytest.mark.parametrize(("url", "ids"), ORDERS)
def test_a_sort_order_continues_over_pages(client, url, ids):
    assert ids_on_page(client.get(url)) == ids
    for size in (1, 2):
        ids_of_pages, response = [], client.get(f"{url}&_count={size}")
        ids_of_pages += ids_on_page(response)
        while "next" in links(response) and len(ids_of_pages) <= len(ids):
            response = client.get(links(response)["next"])
            ids_of_pages += ids_on_page(response)
        assert ids_of_pages == ids


@pytest.mark.parametrize(
    "name", ["code", "date", "value-quantity", "performer", "subject", "value-string", "_tag"]
)
def test_missing_true_and_missing_false_are_complementary(client, name):
    present, missing = (
        ids_on_page(client.get(f"Observation?{name}:missing={x}")) for x in ("false", "true")
    )
    assert sorted(present + missing) == sorted(ids_on_page(client.get("Observation")))


@pytest.mark.parametrize(
    ("query", "included"),
    [
        ("Observation?_id=low&_include=Observation:subject", {"Patient/one"}),
        ("Observation?_id=low&_include=Observation:patient", {"Patient/one"}),
        ("Observation?_id=low,high&_include=Observation:patient:Group", set()),
        ("Observation?_id=moles&_include=*", {"Patient/two", "Organization/clinic"}),
        (_DEEP,
         {"Patient/two", "Organization/clinic"}),
        (f"{_DEEP}&_include:iterate=Organization:partof",
         {"Patient/two", "Organization/clinic", "Organization/group"}),
        ("Patient?_id=one&_revinclude=Observation:patient",
         {"Observation/low", "Observation/high", "Observation/panel"}),
        ("Organization?_id=group&_revinclude:iterate=Organization:partof&_revinclude:iterate=Patient:organization",
         {"Organization/clinic", "Patient/two"}),
        ("Organization?_revinclude:iterate=Organization:partof&_include:iterate=Organization:partof", set()),
    ],
)  # fmt: skip
def test_includes(client, query, included):
    entries = client.get(query).json["entry"]
    names = [
        (e["search"]["mode"], f"{e['resource']['resourceType']}/{e['resource']['id']}")
        for e in entries
    ]
    assert {name for mode, name in names if mode == "include"} == included
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("Observation?date=yesterday&value-quantity=much&_count=many&_sort=nothing", 4),
        ("Observation?date=2026-13", 1),
        ("Observation?date=2026-02-30", 1),
        ("Observation?code=a|b|c", 1),
        ("Observation?code:below=a", 1),
        ("Observation?code:missing=perhaps", 1),
        ("Observation?value-quantity=1|2", 1),
        ("Observation?value-quantity=1e999999", 1),
        ("Observation?code-value-quantity=a", 1),
        ("Observation?code=", 1),
        ("Observation?_include=Observation", 1),
        ("Observation?_include=Observation:code", 1),
        ("Observation?_include=Nothing:subject", 1),
        ("Observation?code.name=a", 1),
        ("Observation?subject:Nothing.name=a", 1),
        ("Patient?organization.partof.partof.partof.partof.name=a", 1),
        ("Patient?_has:Observation=a", 1),
        ("Patient?_has:Observation:code:status=final", 1),
        ("Patient?_page=AAAA", 1),
        ("Patient?_sort=name&_page=WzFd", 1),
        ("Observation?code:in=http://nothing.test", 1),
    ],
)
def test_every_invalid_value_is_reported_without_repeating_it(client, query, number):
    response = client.get(query)
    assert status_and_codes(response)[0] == 400
    assert len(response.json["issue"]) == number
    assert not any(value in response.text for value in ("yesterday", "much", "many", "perhaps"))


@pytest.mark.parametrize(
    "query", ["nothing=a", "_content=a", "_text=a", "_filter=a", "subject.nothing=a", "near=1"]
)
def test_an_unknown_parameter_is_ignored_or_refused_if_strict(client, query):
    assert len(ids_on_page(client.get(f"Observation?{query}"))) == 6
    assert query.split("=")[0] not in links(client.get(f"Observation?{query}"))["self"]
    assert status_and_codes(client.get(f"Observation?{query}", Prefer="handling=strict")) == (
        400,
        ["not-supported"],
    )


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("categry=a", "unknown search parameter for Observation; did you mean category?"),
        ("subjct:Patient.name=a", "unknown search parameter for Observation; did you mean subject?"),
        ("_lastupdated=2026", "unknown search parameter for Observation; did you mean _lastUpdated?"),
        ("zzzzzzzz=a", "unknown search parameter for Observation; see searchParam in /metadata"),
        ("subject.zzzzzzzz=a", "unknown search parameter for Observation; see searchParam in /metadata"),
        ("_sort=-dat", "_sort: write search parameters of the type, separated by commas; did you mean date?"),
        ("_include=Observation:subjct", "_include: unknown reference parameter of Observation; did you mean subject?"),
        ("_include=Observatio:subject",
         "_include: write Type:parameter or Type:parameter:Target, with types stored here; did you mean Observation?"),
    ],
)  # fmt: skip
def test_a_misspelled_parameter_gets_a_suggestion(client, query, message):
    response = client.get(f"Observation?{query}", Prefer="handling=strict")
    diagnostics = [issue["diagnostics"] for issue in response.json["issue"]]
    assert (response.status_code, diagnostics) == (400, [message])


def test_every_unknown_parameter_is_reported(client):
    response = client.get("Observation?categry=a&zzzz=b&cod=c", Prefer="handling=strict")
    assert [issue["code"] for issue in response.json["issue"]] == ["not-supported"] * 3


def test_a_compartment_search_matches_the_resources_of_the_patient(client):
    assert sorted(ids_on_page(client.get("Patient/one/Observation"))) == ["high", "low", "panel"]
    assert ids_on_page(client.get("Patient/one/Observation?code=2132-9&_count=1")) == ["low"]
    assert ids_on_page(client.get("Patient/none/Observation")) == []


def test_everything_returns_the_compartment_and_what_it_refers_to(client):
    entries = client.get("Patient/two/$everything").json["entry"]
    names = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries}
    assert names == {
        "Patient/two", "Observation/moles", "Observation/below", "Organization/clinic",
    }  # fmt: skip
    some = client.get("Patient/two/$everything?_type=Observation&start=2026-01-01")
    assert ids_on_page(some) == ["moles"]
    assert client.get("Patient/none/$everything").status_code == 404
    assert client.get("Patient/two/$everything?_type=Nothing").status_code == 400
