"""Suggestions for misspelled names."""

import pytest

from fhir_b12.suggestions import closest, did_you_mean, did_you_mean_or_list

TYPES = ("Observation", "Patient", "MedicationAdministration")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Patient", "Patient"),
        ("patient", "Patient"),
        ("Observaton", "Observation"),
        ("OBSERVATOIN", "Observation"),
        ("Claim", None),
        ("", None),
        ("Observation" * 1000, None),
    ],
)
def test_closest_returns_the_most_similar_known_name(name, expected):
    assert closest(name, TYPES) == expected


def test_closest_prefers_the_same_letters_in_another_case():
    assert closest("ug", ["uG", "mg", "g"]) == "uG"


def test_a_message_ends_with_the_suggestion_or_with_all_names():
    assert did_you_mean("Pateint", TYPES) == "; did you mean Patient?"
    assert did_you_mean("Claim", TYPES) == ""
    assert did_you_mean_or_list("Pateint", iter(TYPES)) == "; did you mean Patient?"
    assert did_you_mean_or_list("Claim", iter(TYPES)) == (
        "; choose one of Observation, Patient, MedicationAdministration"
    )
