"""Search as clients use it: links, pages, totals, strictness.  https://hl7.org/fhir/R4/search.html"""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.server.fhir.conftest import (
    BASE,
    PATIENT,
    ids_on_page,
    links,
    observation,
    status_and_codes,
)


def some(client, number):
    return [client.create(observation()) for _ in range(number)]


def test_a_next_link_is_below_the_public_url_and_ignores_the_host_header(client):
    some(client, 3)
    response = client.get("Observation?_count=2", Host="127.0.0.1")
    following = links(response)["next"]
    assert following.partition("?")[0] == f"{BASE}/Observation"
    assert dict(parse_qsl(urlsplit(following).query)).keys() == {"_count", "_page"}


def test_pages_have_every_match_once_despite_concurrent_writes(client):
    before = some(client, 7)
    ids, response = [], client.get("Observation?status=final&_count=3")
    while True:
        ids += ids_on_page(response)
        client.create(observation(status="final"))
        if "next" not in links(response) or len(ids) > 20:
            break
        response = client.get(links(response)["next"])
    assert ids[:7] == before
    assert len(ids) == len(set(ids))


def test_the_self_link_has_only_supported_parameters(client):
    name = client.create(observation())
    response = client.get("Observation?status=final&colour=blue&_format=json")
    assert ids_on_page(response) == [name]
    parameters = dict(parse_qsl(urlsplit(links(response)["self"]).query))
    assert (parameters.get("status"), parameters.get("_format"), "colour" in parameters) == (
        "final",
        "json",
        False,
    )


def test_handling_strict_makes_unknown_parameters_an_error(client):
    assert client.get("Observation?colour=blue", Prefer="handling=lenient").status_code == 200
    assert client.get("Observation?colour=blue", Prefer="handling=strict").status_code == 400


@pytest.mark.parametrize(
    "query", ["date=yesterday", "value-quantity=much", "_lastUpdated=x", "_count=many"]
)
def test_all_malformed_values_are_reported_as_400(client, query):
    assert client.get(f"Observation?{query}").status_code == 400


def test_total_accurate_counts_and_count_zero_returns_no_entry(client):
    some(client, 3)
    response = client.get("Observation?_total=accurate&_count=1")
    assert (response.json["total"], len(ids_on_page(response))) == (3, 1)
    for query in ("_count=0", "_summary=count"):
        response = client.get(f"Observation?{query}")
        assert (response.json["total"], ids_on_page(response), "next" in links(response)) == (
            3,
            [],
            False,
        )


def test_a_quantity_search_compares_units(client):
    def measured(value, unit):
        quantity = {
            "value": value,
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        }
        return client.create(observation(valueQuantity=quantity))

    low, high, other = measured(180, "pg/mL"), measured(350, "pg/mL"), measured(300, "mg/dL")
    query = "Observation?value-quantity=gt200|http://unitsofmeasure.org|"
    assert ids_on_page(client.get(f"{query}pg/mL")) == [high] or ids_on_page(
        client.get(f"{query}pg/mL")
    ) == [
        high,
        other,
    ]
    assert low not in ids_on_page(client.get(f"{query}pg/mL"))
    assert ids_on_page(client.get(f"{query}mm[Hg]")) == []


def test_search_by_post_equals_search_by_get(client):
    some(client, 3)
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    response = client.post("Observation/_search", "status=final&_count=2", **form)
    assert response.data == client.get("Observation?status=final&_count=2").data
    both = client.post("Observation/_search?status=final", "_count=2", **form)
    assert both.data == response.data


def test_a_compartment_search_finds_resources_of_the_patient(client):
    one, two = client.create(PATIENT), client.create(PATIENT)
    mine = [
        client.create(observation(subject={"reference": f"Patient/{one}"})),
        client.create(observation(performer=[{"reference": f"Patient/{one}"}])),
    ]
    client.create(observation(subject={"reference": f"Patient/{two}"}))
    response = client.get(f"Patient/{one}/Observation?_count=1")
    assert ids_on_page(response) + ids_on_page(client.get(links(response)["next"])) == mine
    posted = client.post(
        f"Patient/{one}/Observation/_search",
        "status=final",
        Content_Type="application/x-www-form-urlencoded",
    )
    assert ids_on_page(posted) == mine


def test_included_resources_are_marked_and_listed_once(client):
    patient = client.create(PATIENT)
    for _ in range(2):
        client.create(observation(subject={"reference": f"Patient/{patient}"}))
    response = client.get("Observation?_include=Observation:subject")
    modes = [
        (entry["resource"]["resourceType"], entry["search"]["mode"])
        for entry in response.json["entry"]
    ]
    assert modes == [("Observation", "match")] * 2 + [("Patient", "include")]


def test_pages_keep_the_sort_order(client):
    days = ["2026-03-01", "2026-01-01", "2026-02-01"]
    names = {day: client.create(observation(effectiveDateTime=day)) for day in days}
    response = client.get("Observation?_sort=-date&_count=2")
    assert ids_on_page(response) == [names["2026-03-01"], names["2026-02-01"]]
    assert ids_on_page(client.get(links(response)["next"])) == [names["2026-01-01"]]


def test_a_manipulated_cursor_is_400(client):
    some(client, 3)
    assert client.get("Observation?_count=1&_page=tampered").status_code == 400


def test_elements_and_summary_apply_to_entries(client):
    client.create(observation(note=[{"text": "n"}]))
    entry = client.get("Observation?_elements=status").json["entry"][0]["resource"]
    assert set(entry) == {"resourceType", "id", "meta", "status", "code"}


def test_a_bundle_can_be_pretty(client):
    some(client, 1)
    pretty = client.get("Observation?_pretty=true")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert pretty.data.count(b"\n") > 10
    assert client.post("Observation/_search", "_pretty=true", **form).data == pretty.data


def test_definitions_can_be_read_and_searched_by_url_name_and_id(client):
    profiles = client.get("StructureDefinition?_count=1000").json
    first = profiles["entry"][0]["resource"]
    assert client.get(f"StructureDefinition/{first['id']}").json == first
    for query in (f"url={first['url']}", f"_id={first['id']}"):
        assert ids_on_page(client.get(f"StructureDefinition?{query}")) == [first["id"]]
    assert first["id"] in ids_on_page(client.get(f"StructureDefinition?name={first['name']}"))
    assert ids_on_page(client.get("ValueSet?url=urn:nothing")) == []
    assert status_and_codes(client.get("ValueSet/nothing")) == (404, ["not-found"])
