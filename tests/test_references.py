"""References are found wherever they are in a resource."""

import pytest

from fhir_b12.references import walk_references


def test_walk_references_yields_path_and_object_in_document_order():
    resource = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Patient", "generalPractitioner": [{"reference": "P/1"}]}],
        "subject": {"reference": "#p", "identifier": {"assigner": {"reference": "O/1"}}},
        "component": [{"valueString": "reference"}, {"extension": [{"reference": 1}]}],
        "performer": [{"display": "x"}, {"reference": "P/2"}],
    }
    assert [(path, node["reference"]) for path, node in walk_references(resource)] == [
        (("contained", 0, "generalPractitioner", 0), "P/1"),
        (("subject",), "#p"),
        (("subject", "identifier", "assigner"), "O/1"),
        (("performer", 1), "P/2"),
    ]


def test_walk_references_allows_its_caller_to_replace_a_reference():
    resource = {"subject": {"reference": "a", "identifier": {"assigner": {"reference": "b"}}}}
    for _, node in walk_references(resource):
        node["reference"] += "!"
    assert resource == {
        "subject": {"reference": "a!", "identifier": {"assigner": {"reference": "b!"}}}
    }


@pytest.mark.parametrize("value", [None, "text", 1, [], {}])
def test_walk_references_yields_nothing_for_a_value_without_references(value):
    assert list(walk_references(value)) == []
