"""Index rows: they equal the values of the search parameters' expressions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import fhirpath
from fhir_b12.definitions import R4
from fhir_b12.jsonio import loads
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search.index_rows import extract_rows
from fhir_b12.server.search.parameters import indexed, is_simple, parameters, routes
from fhir_b12.server.search.types.date import date_interval
from tests.validation.test_laws_of_validation import JSON

BASE = "https://fhir.clinic.test/fhir"


@pytest.fixture(scope="module")
def resources(fixtures):
    examples = []
    for file in sorted((fixtures / "r4-examples").rglob("*.json")):
        resource = loads(file.read_bytes())
        if resource.get("resourceType") in STORED:
            examples.append(resource)
    assert len(examples) > 200
    return examples


def values_along(resource, names):
    """Return the values at the end of a path of JSON names."""
    items = [resource]
    for name in names:
        values = [item.get(name) for item in items if isinstance(item, dict)]
        items = [
            item
            for value in values
            if value is not None
            for item in (value if isinstance(value, list) else [value])
        ]
    return items


def test_walking_element_names_finds_the_values_of_fhirpath(resources):
    compared = 0
    for resource in resources:
        resource_type = resource["resourceType"]
        for path in indexed(resource_type):
            if not is_simple(path.text):
                continue
            expression = path.text.replace("as(DateTime)", "as(dateTime)")
            places = fhirpath.compile(expression).locate(
                resource, resource_type, fhirpath.StandaloneEnvironment(resource)
            )
            slow = sorted(
                json.dumps(location.value, default=str, sort_keys=True)
                for location in places
                if location.value is not None
            )
            quick = sorted(
                json.dumps(value, default=str, sort_keys=True)
                for names, _ in routes(path.text)
                for value in values_along(resource, names)
            )
            assert quick == slow, (resource["id"], path.text)
            compared += bool(quick)
    assert compared > 1000


def test_every_indexed_path_has_a_unique_key_and_a_route():
    known = {}
    for resource_type in STORED:
        for path in indexed(resource_type):
            assert known.setdefault(path.key, (path.text, path.type)) == (path.text, path.type)
            assert not is_simple(path.text) or routes(path.text), path.text
    assert len(known) > 400


def test_every_supported_parameter_of_r4_is_indexed():
    left = {
        "_content",
        "_text",
        "_query",
        "_list",
        "_filter",
        "_id",
        "_lastUpdated",
        "near",
        "age",
        "birthOrderBoolean",
    }
    for resource_type in STORED:
        assert set(R4.search_parameters(resource_type)) - set(parameters(resource_type)) <= left
        assert [
            parameter.code
            for parameter in parameters(resource_type).values()
            if not parameter.paths
        ] == []


def test_example_resources_have_rows(resources):
    for resource in resources:
        rows = extract_rows(resource, BASE)
        assert rows.texts or rows.ranges
        assert all(low <= high for _, low, high, _, _ in rows.ranges)


@given(st.dictionaries(st.sampled_from(["code", "subject", "effectiveDateTime", "valueQuantity",
                                        "component", "identifier", "meta", "performer", "telecom",
                                        "name", "extension", "deceasedBoolean"]), JSON),
       st.sampled_from(["Observation", "Patient", "Condition"]))  # fmt: skip
def test_a_malformed_resource_raises_nothing(members, resource_type):
    extract_rows({**members, "resourceType": resource_type}, BASE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026", 365 * 86400), ("2024-02", 29 * 86400), ("2026-12", 31 * 86400),
        ("2026-03-09", 86400), ("2026-03-09T09:15", 60), ("2026-03-09T09:15:00", 1),
        ("2026-03-09T09:15:00Z", 1), ("2026-03-09T09:15:00+01:00", 1),
        ("2026-03-09T09:15:00.5Z", 0.1), ("2026-03-09T09:15:00.123456Z", 1e-6),
    ],
)  # fmt: skip
def test_the_interval_of_a_date_is_as_long_as_its_precision(text, seconds):
    low, high = date_interval(text)
    assert high - low == round(seconds * 1_000_000)


@pytest.mark.parametrize(
    "text", ["", "26", "2026-13", "2026-00", "2026-02-30", "2026-03-09T24:00:00Z", "2026-3-9", "٢٠٢٦",
             "2026-03-09T09:60Z", "0000", "2026-03-09T09:15:00+1:00", "now", "2026-03-09 09:15"],
)  # fmt: skip
def test_an_invalid_date_has_no_interval(text):
    assert date_interval(text) is None
