"""What is indexed is what the expressions of the search parameters find."""

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
    found = []
    for file in sorted((fixtures / "r4-examples").rglob("*.json")):
        each = loads(file.read_bytes())
        if each.get("resourceType") in STORED:
            found.append(each)
    assert len(found) > 200
    return found


def walked(node, names):
    items = [node]
    for name in names:
        below = [each.get(name) for each in items if isinstance(each, dict)]
        items = [
            x
            for each in below
            if each is not None
            for x in (each if isinstance(each, list) else [each])
        ]
    return items


def test_the_quick_way_along_names_finds_what_fhirpath_finds(resources):
    compared = 0
    for resource in resources:
        kind = resource["resourceType"]
        for path in indexed(kind):
            if not is_simple(path.text):
                continue
            expression = path.text.replace("as(DateTime)", "as(dateTime)")
            places = fhirpath.compile(expression).locate(
                resource, kind, fhirpath.StandaloneEnvironment(resource)
            )
            slow = sorted(
                json.dumps(each.value, default=str, sort_keys=True)
                for each in places
                if each.value is not None
            )
            quick = sorted(
                json.dumps(value, default=str, sort_keys=True)
                for names, _ in routes(path.text)
                for value in walked(resource, names)
            )
            assert quick == slow, (resource["id"], path.text)
            compared += bool(quick)
    assert compared > 1000


def test_every_path_has_a_number_of_its_own_and_leads_somewhere():
    known = {}
    for kind in STORED:
        for path in indexed(kind):
            assert known.setdefault(path.key, (path.text, path.type)) == (path.text, path.type)
            assert not is_simple(path.text) or routes(path.text), path.text
    assert len(known) > 400


def test_every_parameter_of_r4_is_there():
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
    for kind in STORED:
        assert set(R4.search_parameters(kind)) - set(parameters(kind)) <= left
        assert [each.code for each in parameters(kind).values() if not each.paths] == []


def test_real_resources_have_rows(resources):
    for resource in resources:
        found = extract_rows(resource, BASE)
        assert found.texts or found.ranges
        assert all(low <= high for _, low, high, _, _ in found.ranges)


@given(st.dictionaries(st.sampled_from(["code", "subject", "effectiveDateTime", "valueQuantity",
                                        "component", "identifier", "meta", "performer", "telecom",
                                        "name", "extension", "deceasedBoolean"]), JSON),
       st.sampled_from(["Observation", "Patient", "Condition"]))  # fmt: skip
def test_whatever_a_resource_holds_there_is_no_exception(members, kind):
    extract_rows({**members, "resourceType": kind}, BASE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026", 365 * 86400), ("2024-02", 29 * 86400), ("2026-12", 31 * 86400),
        ("2026-03-09", 86400), ("2026-03-09T09:15", 60), ("2026-03-09T09:15:00", 1),
        ("2026-03-09T09:15:00Z", 1), ("2026-03-09T09:15:00+01:00", 1),
        ("2026-03-09T09:15:00.5Z", 0.1), ("2026-03-09T09:15:00.123456Z", 1e-6),
    ],
)  # fmt: skip
def test_a_moment_is_as_long_as_it_is_exact(text, seconds):
    low, high = date_interval(text)
    assert high - low == round(seconds * 1_000_000)


@pytest.mark.parametrize(
    "text", ["", "26", "2026-13", "2026-00", "2026-02-30", "2026-03-09T24:00:00Z", "2026-3-9", "٢٠٢٦",
             "2026-03-09T09:60Z", "0000", "2026-03-09T09:15:00+1:00", "now", "2026-03-09 09:15"],
)  # fmt: skip
def test_what_is_no_date_is_none(text):
    assert date_interval(text) is None
